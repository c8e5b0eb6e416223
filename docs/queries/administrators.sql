-- Who is an administrator of which organization, and since when.
SELECT o.display_name AS organization,
       u.display_name AS person,
       u.profile.primary_email AS email,
       g.created_at AS since,
       u.id AS user_id,
       o.id AS organization_id
FROM latest_grants g
JOIN latest_users u ON g.principal.type = 'user' AND g.principal.id = u.id
JOIN latest_organizations o ON g.resource.type = 'organization' AND g.resource.id = o.id
WHERE g.role.key = 'org:admin'
ORDER BY organization, person, user_id, organization_id;
