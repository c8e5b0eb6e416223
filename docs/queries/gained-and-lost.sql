-- Who joined or left an organization, and who gained or lost a role, with the newest changes first. Needs CHANGES.
SELECT "to" AS snapshot,
       event,
       subject.id AS user_id,
       target.id AS organization_id,
       role."key" AS role_key,
       certainty
FROM changes
WHERE event IN ('member_added', 'member_removed', 'role_granted', 'role_revoked')
ORDER BY snapshot DESC, organization_id, user_id, event, role_key;
