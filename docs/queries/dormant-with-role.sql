-- Users who hold a role and were not active in the last 90 days, or never.
SELECT u.display_name AS person,
       u.profile.last_active_at AS last_active_at,
       o.display_name AS organization,
       g.role.key AS role_key,
       u.id AS user_id,
       o.id AS organization_id
FROM latest_grants g
JOIN latest_users u ON g.principal.type = 'user' AND g.principal.id = u.id
JOIN latest_organizations o ON g.resource.type = 'organization' AND g.resource.id = o.id
WHERE g.role.id IS NOT NULL
  AND u.status = 'enabled'
  AND (u.profile.last_active_at IS NULL
       OR from_iso8601_timestamp(u.profile.last_active_at) < current_timestamp - INTERVAL '90' DAY)
ORDER BY last_active_at NULLS FIRST, user_id, organization_id, role_key;
