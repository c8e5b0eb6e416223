-- Members whose primary e-mail address is not in one of your own domains, by organization and domain. Put your domains into the list.
SELECT o.display_name AS organization,
       lower(regexp_extract(u.profile.primary_email, '[^@]+$')) AS domain,
       count(*) AS members,
       o.id AS organization_id
FROM latest_grants g
JOIN latest_users u ON g.principal.type = 'user' AND g.principal.id = u.id
JOIN latest_organizations o ON g.resource.type = 'organization' AND g.resource.id = o.id
WHERE g.slug = 'member'
  AND lower(regexp_extract(u.profile.primary_email, '[^@]+$')) NOT IN ('example.com', 'example.org')
GROUP BY o.id, o.display_name, lower(regexp_extract(u.profile.primary_email, '[^@]+$'))
ORDER BY organization, members DESC, domain, organization_id;
