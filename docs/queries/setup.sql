-- Written by scripts/catalog from schemas/. The names that the queries beside it use, for DuckDB:
-- a view for each dataset of the newest snapshot (latest_users), and one over all snapshots with a
-- column snapshot_id (users). Run it in the folder that SNAPSHOT_URL names:
--
--   duckdb -init <this file>
--
-- For S3 put s3://bucket/prefix/ in place of the empty text below.
SET VARIABLE root = '';
SET VARIABLE latest = (SELECT snapshot_id FROM read_json(getvariable('root') || 'latest.json'));

-- The files of a dataset. One without rows has none, which DuckDB would take for a mistake: then it is
-- a file that has no record.
CREATE OR REPLACE MACRO files_of(snapshot, dataset) AS (
  SELECT coalesce(list(file), [getvariable('root') || 'latest.json'])
  FROM glob(getvariable('root') || 'snapshots/' || snapshot || '/' || dataset || '/*'));

-- Athena's name for it.
CREATE OR REPLACE MACRO from_iso8601_timestamp(moment) AS moment::TIMESTAMPTZ;

-- Entitlement
CREATE OR REPLACE MACRO entitlements_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    kind: 'VARCHAR',
    id: 'VARCHAR',
    resource: 'STRUCT("type" VARCHAR, "id" VARCHAR)',
    slug: 'VARCHAR',
    purpose: 'VARCHAR',
    display_name: 'VARCHAR',
    grantable_to: 'VARCHAR[]',
    role: 'STRUCT("id" VARCHAR, "key" VARCHAR)'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE entitlements_files = (SELECT files_of('*', 'entitlements'));
SET VARIABLE latest_entitlements_files = (SELECT files_of(getvariable('latest'), 'entitlements'));
CREATE OR REPLACE VIEW entitlements AS FROM entitlements_in(getvariable('entitlements_files'));
CREATE OR REPLACE VIEW latest_entitlements AS FROM entitlements_in(getvariable('latest_entitlements_files'));

-- Grant
CREATE OR REPLACE MACRO grants_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    kind: 'VARCHAR',
    id: 'VARCHAR',
    entitlement_id: 'VARCHAR',
    resource: 'STRUCT("type" VARCHAR, "id" VARCHAR)',
    slug: 'VARCHAR',
    principal: 'STRUCT("type" VARCHAR, "id" VARCHAR)',
    role: 'STRUCT("id" VARCHAR, "key" VARCHAR)',
    permissions: 'VARCHAR[]',
    source: 'STRUCT("type" VARCHAR, "id" VARCHAR)',
    created_at: 'VARCHAR',
    updated_at: 'VARCHAR'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE grants_files = (SELECT files_of('*', 'grants'));
SET VARIABLE latest_grants_files = (SELECT files_of(getvariable('latest'), 'grants'));
CREATE OR REPLACE VIEW grants AS FROM grants_in(getvariable('grants_files'));
CREATE OR REPLACE VIEW latest_grants AS FROM grants_in(getvariable('latest_grants_files'));

-- Organization permission
CREATE OR REPLACE MACRO organization_permissions_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    kind: 'VARCHAR',
    type: 'VARCHAR',
    id: 'VARCHAR',
    display_name: 'VARCHAR',
    status: 'VARCHAR',
    created_at: 'VARCHAR',
    updated_at: 'VARCHAR',
    profile: 'STRUCT("key" VARCHAR, "description" VARCHAR, "type" VARCHAR)',
    raw: 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE organization_permissions_files = (SELECT files_of('*', 'organization_permissions'));
SET VARIABLE latest_organization_permissions_files = (SELECT files_of(getvariable('latest'), 'organization_permissions'));
CREATE OR REPLACE VIEW organization_permissions AS FROM organization_permissions_in(getvariable('organization_permissions_files'));
CREATE OR REPLACE VIEW latest_organization_permissions AS FROM organization_permissions_in(getvariable('latest_organization_permissions_files'));

-- Organization role
CREATE OR REPLACE MACRO organization_roles_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    kind: 'VARCHAR',
    type: 'VARCHAR',
    id: 'VARCHAR',
    display_name: 'VARCHAR',
    status: 'VARCHAR',
    created_at: 'VARCHAR',
    updated_at: 'VARCHAR',
    profile: 'STRUCT("key" VARCHAR, "description" VARCHAR, "is_creator_eligible" BOOLEAN, "permissions" STRUCT("id" VARCHAR, "key" VARCHAR)[])',
    raw: 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE organization_roles_files = (SELECT files_of('*', 'organization_roles'));
SET VARIABLE latest_organization_roles_files = (SELECT files_of(getvariable('latest'), 'organization_roles'));
CREATE OR REPLACE VIEW organization_roles AS FROM organization_roles_in(getvariable('organization_roles_files'));
CREATE OR REPLACE VIEW latest_organization_roles AS FROM organization_roles_in(getvariable('latest_organization_roles_files'));

-- Organization
CREATE OR REPLACE MACRO organizations_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    kind: 'VARCHAR',
    type: 'VARCHAR',
    id: 'VARCHAR',
    display_name: 'VARCHAR',
    status: 'VARCHAR',
    created_at: 'VARCHAR',
    updated_at: 'VARCHAR',
    profile: 'STRUCT("slug" VARCHAR, "members_count" BIGINT, "pending_invitations_count" BIGINT, "max_allowed_memberships" BIGINT, "admin_delete_enabled" BOOLEAN, "created_by" VARCHAR, "role_set_key" VARCHAR, "last_active_at" VARCHAR, "public_metadata" JSON, "private_metadata" JSON)',
    raw: 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE organizations_files = (SELECT files_of('*', 'organizations'));
SET VARIABLE latest_organizations_files = (SELECT files_of(getvariable('latest'), 'organizations'));
CREATE OR REPLACE VIEW organizations AS FROM organizations_in(getvariable('organizations_files'));
CREATE OR REPLACE VIEW latest_organizations AS FROM organizations_in(getvariable('latest_organizations_files'));

-- User
CREATE OR REPLACE MACRO users_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    kind: 'VARCHAR',
    type: 'VARCHAR',
    id: 'VARCHAR',
    display_name: 'VARCHAR',
    status: 'VARCHAR',
    created_at: 'VARCHAR',
    updated_at: 'VARCHAR',
    profile: 'STRUCT("username" VARCHAR, "first_name" VARCHAR, "last_name" VARCHAR, "external_id" VARCHAR, "primary_email" VARCHAR, "primary_email_verified" BOOLEAN, "emails" STRUCT("address" VARCHAR, "primary" BOOLEAN, "verified" BOOLEAN)[], "phones" STRUCT("number" VARCHAR, "primary" BOOLEAN, "verified" BOOLEAN, "second_factor" BOOLEAN)[], "banned" BOOLEAN, "locked" BOOLEAN, "deprovisioned" BOOLEAN, "last_sign_in_at" VARCHAR, "last_active_at" VARCHAR, "password_enabled" BOOLEAN, "two_factor_enabled" BOOLEAN, "totp_enabled" BOOLEAN, "backup_code_enabled" BOOLEAN, "passkeys" BIGINT, "mfa_enabled_at" VARCHAR, "mfa_disabled_at" VARCHAR, "external_accounts" STRUCT("provider" VARCHAR, "email" VARCHAR, "verified" BOOLEAN)[], "enterprise_accounts" STRUCT("provider" VARCHAR, "email" VARCHAR, "active" BOOLEAN)[], "web3_wallets" VARCHAR[], "create_organization_enabled" BOOLEAN, "delete_self_enabled" BOOLEAN, "legal_accepted_at" VARCHAR, "locale" VARCHAR, "public_metadata" JSON, "private_metadata" JSON, "unsafe_metadata" JSON)',
    raw: 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE users_files = (SELECT files_of('*', 'users'));
SET VARIABLE latest_users_files = (SELECT files_of(getvariable('latest'), 'users'));
CREATE OR REPLACE VIEW users AS FROM users_in(getvariable('users_files'));
CREATE OR REPLACE VIEW latest_users AS FROM users_in(getvariable('latest_users_files'));
