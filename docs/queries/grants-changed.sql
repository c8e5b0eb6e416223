-- Grants added and removed between two snapshots. Replace EARLIER and LATER with their ids. First check in both manifests that grants is verified.
SELECT CASE WHEN earlier.id IS NULL THEN 'added' ELSE 'removed' END AS change,
       coalesce(later.id, earlier.id) AS grant_id,
       coalesce(later.principal.type, earlier.principal.type) AS principal_type,
       coalesce(later.principal.id, earlier.principal.id) AS principal_id,
       coalesce(later.resource.type, earlier.resource.type) AS resource_type,
       coalesce(later.resource.id, earlier.resource.id) AS resource_id,
       coalesce(later.role.key, earlier.role.key) AS role_key
FROM (SELECT * FROM grants WHERE snapshot_id = 'EARLIER') earlier
FULL OUTER JOIN (SELECT * FROM grants WHERE snapshot_id = 'LATER') later ON earlier.id = later.id
WHERE earlier.id IS NULL OR later.id IS NULL
ORDER BY change, grant_id;
