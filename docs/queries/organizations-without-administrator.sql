-- Organizations in which no enabled user is an administrator.
SELECT o.display_name AS organization,
       o.profile.members_count AS members,
       o.created_at AS created_at,
       o.id AS organization_id
FROM latest_organizations o
LEFT JOIN (
  SELECT DISTINCT g.resource.id AS organization_id
  FROM latest_grants g
  JOIN latest_users u ON g.principal.type = 'user' AND g.principal.id = u.id
  WHERE g.resource.type = 'organization' AND g.role.key = 'org:admin' AND u.status = 'enabled'
) administered ON administered.organization_id = o.id
WHERE administered.organization_id IS NULL
ORDER BY organization, organization_id;
