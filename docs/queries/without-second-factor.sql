-- Enabled users without a second factor, those with the most roles first.
SELECT u.display_name AS person,
       u.profile.primary_email AS email,
       count(g.id) AS roles,
       u.profile.last_sign_in_at AS last_sign_in_at,
       u.id AS user_id
FROM latest_users u
LEFT JOIN latest_grants g
  ON g.principal.type = 'user' AND g.principal.id = u.id AND g.role.id IS NOT NULL
WHERE u.status = 'enabled' AND coalesce(u.profile.two_factor_enabled, FALSE) = FALSE
GROUP BY u.id, u.display_name, u.profile.primary_email, u.profile.last_sign_in_at
ORDER BY roles DESC, user_id;
