-- Who can do something, where, and through which role. Put the permission's key into the WHERE clause.
SELECT u.display_name AS person,
       o.display_name AS organization,
       r.display_name AS through_role,
       u.id AS user_id,
       o.id AS organization_id,
       r.id AS role_id
FROM latest_organization_permissions p
JOIN latest_grants carried
  ON carried.resource.type = 'organization_permission' AND carried.resource.id = p.id
JOIN latest_organization_roles r
  ON carried.principal.type = 'organization_role' AND carried.principal.id = r.id
JOIN latest_grants held ON held.role.id = r.id
JOIN latest_users u ON held.principal.type = 'user' AND held.principal.id = u.id
JOIN latest_organizations o ON held.resource.type = 'organization' AND held.resource.id = o.id
WHERE p.profile.key = 'org:sys_memberships:manage'
ORDER BY person, organization, through_role, user_id, organization_id;
