-- Written by scripts/catalog from schemas/. Creates the views that the other queries in this folder
-- use, in DuckDB: one for each dataset of the newest snapshot (latest_users), one for all snapshots with a
-- column snapshot_id (users), and one for all changes. Run it in the folder that SNAPSHOT_URL names:
--
--   duckdb -init <this file>
--
-- For S3, replace the empty text below with s3://bucket/prefix/.
SET VARIABLE root = '';
SET VARIABLE latest = (SELECT snapshot_id FROM read_json(getvariable('root') || 'latest.json'));

-- The files of a dataset. A dataset without rows has no files, which DuckDB would treat as an error.
-- In that case this returns a file without records.
CREATE OR REPLACE MACRO files_of(snapshot, dataset) AS (
  SELECT coalesce(list(file), [getvariable('root') || 'latest.json'])
  FROM glob(getvariable('root') || 'snapshots/' || snapshot || '/' || dataset || '/*'));

-- Athena's name for this conversion.
CREATE OR REPLACE MACRO from_iso8601_timestamp(moment) AS moment::TIMESTAMPTZ;

-- Allow-list identifier
CREATE OR REPLACE MACRO allowlist_identifiers_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("identifier" VARCHAR, "identifier_type" VARCHAR, "invitation_id" VARCHAR)',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE allowlist_identifiers_files = (SELECT files_of('*', 'allowlist_identifiers'));
SET VARIABLE latest_allowlist_identifiers_files = (SELECT files_of(getvariable('latest'), 'allowlist_identifiers'));
CREATE OR REPLACE VIEW allowlist_identifiers AS FROM allowlist_identifiers_in(getvariable('allowlist_identifiers_files'));
CREATE OR REPLACE VIEW latest_allowlist_identifiers AS FROM allowlist_identifiers_in(getvariable('latest_allowlist_identifiers_files'));

-- API key
CREATE OR REPLACE MACRO api_keys_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("type" VARCHAR, "subject" VARCHAR, "description" VARCHAR, "claims" JSON, "scopes" VARCHAR[], "revoked" BOOLEAN, "revocation_reason" VARCHAR, "expired" BOOLEAN, "expiration" VARCHAR, "created_by" VARCHAR, "last_used_at" VARCHAR)',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE api_keys_files = (SELECT files_of('*', 'api_keys'));
SET VARIABLE latest_api_keys_files = (SELECT files_of(getvariable('latest'), 'api_keys'));
CREATE OR REPLACE VIEW api_keys AS FROM api_keys_in(getvariable('api_keys_files'));
CREATE OR REPLACE VIEW latest_api_keys AS FROM api_keys_in(getvariable('latest_api_keys_files'));

-- Billing plan
CREATE OR REPLACE MACRO billing_plans_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'JSON',
    "updated_at": 'JSON',
    "profile": 'STRUCT("slug" VARCHAR, "description" VARCHAR, "product_id" VARCHAR, "for_payer_type" VARCHAR, "is_default" BOOLEAN, "is_recurring" BOOLEAN, "publicly_visible" BOOLEAN, "has_base_fee" BOOLEAN, "fee" STRUCT("amount" BIGINT, "currency" VARCHAR), "annual_monthly_fee" STRUCT("amount" BIGINT, "currency" VARCHAR), "annual_fee" STRUCT("amount" BIGINT, "currency" VARCHAR), "unit_prices" STRUCT("name" VARCHAR, "block_size" BIGINT, "tiers" STRUCT("starts_at_block" BIGINT, "ends_after_block" BIGINT, "fee_per_block" STRUCT("amount" BIGINT, "currency" VARCHAR))[])[], "free_trial_enabled" BOOLEAN, "free_trial_days" BIGINT, "features" STRUCT("id" VARCHAR, "slug" VARCHAR, "name" VARCHAR)[])',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE billing_plans_files = (SELECT files_of('*', 'billing_plans'));
SET VARIABLE latest_billing_plans_files = (SELECT files_of(getvariable('latest'), 'billing_plans'));
CREATE OR REPLACE VIEW billing_plans AS FROM billing_plans_in(getvariable('billing_plans_files'));
CREATE OR REPLACE VIEW latest_billing_plans AS FROM billing_plans_in(getvariable('latest_billing_plans_files'));

-- Billing subscription item
CREATE OR REPLACE MACRO billing_subscription_items_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("status" VARCHAR, "plan_id" VARCHAR, "price_id" VARCHAR, "plan" STRUCT("id" VARCHAR, "slug" VARCHAR, "name" VARCHAR), "plan_period" VARCHAR, "payer_id" VARCHAR, "payer" STRUCT("user_id" VARCHAR, "organization_id" VARCHAR), "is_free_trial" BOOLEAN, "period_start" VARCHAR, "period_end" VARCHAR, "canceled_at" VARCHAR, "past_due_at" VARCHAR, "ended_at" VARCHAR, "seats" STRUCT("quantity" BIGINT), "lifetime_paid" STRUCT("amount" BIGINT, "currency" VARCHAR), "next_payment" STRUCT("amount" STRUCT("amount" BIGINT, "currency" VARCHAR), "date" VARCHAR))',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE billing_subscription_items_files = (SELECT files_of('*', 'billing_subscription_items'));
SET VARIABLE latest_billing_subscription_items_files = (SELECT files_of(getvariable('latest'), 'billing_subscription_items'));
CREATE OR REPLACE VIEW billing_subscription_items AS FROM billing_subscription_items_in(getvariable('billing_subscription_items_files'));
CREATE OR REPLACE VIEW latest_billing_subscription_items AS FROM billing_subscription_items_in(getvariable('latest_billing_subscription_items_files'));

-- Block-list identifier
CREATE OR REPLACE MACRO blocklist_identifiers_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("identifier" VARCHAR, "identifier_type" VARCHAR)',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE blocklist_identifiers_files = (SELECT files_of('*', 'blocklist_identifiers'));
SET VARIABLE latest_blocklist_identifiers_files = (SELECT files_of(getvariable('latest'), 'blocklist_identifiers'));
CREATE OR REPLACE VIEW blocklist_identifiers AS FROM blocklist_identifiers_in(getvariable('blocklist_identifiers_files'));
CREATE OR REPLACE VIEW latest_blocklist_identifiers AS FROM blocklist_identifiers_in(getvariable('latest_blocklist_identifiers_files'));

-- Daily active users
CREATE OR REPLACE MACRO daily_active_users_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "name": 'VARCHAR',
    "date": 'VARCHAR',
    "value": 'BIGINT'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE daily_active_users_files = (SELECT files_of('*', 'daily_active_users'));
SET VARIABLE latest_daily_active_users_files = (SELECT files_of(getvariable('latest'), 'daily_active_users'));
CREATE OR REPLACE VIEW daily_active_users AS FROM daily_active_users_in(getvariable('daily_active_users_files'));
CREATE OR REPLACE VIEW latest_daily_active_users AS FROM daily_active_users_in(getvariable('latest_daily_active_users_files'));

-- Domain
CREATE OR REPLACE MACRO domains_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'JSON',
    "updated_at": 'JSON',
    "profile": 'STRUCT("is_satellite" BOOLEAN, "frontend_api_url" VARCHAR, "accounts_portal_url" VARCHAR, "proxy_url" VARCHAR, "development_origin" VARCHAR, "cname_targets" STRUCT("host" VARCHAR, "value" VARCHAR, "required" BOOLEAN)[])',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE domains_files = (SELECT files_of('*', 'domains'));
SET VARIABLE latest_domains_files = (SELECT files_of(getvariable('latest'), 'domains'));
CREATE OR REPLACE VIEW domains AS FROM domains_in(getvariable('domains_files'));
CREATE OR REPLACE VIEW latest_domains AS FROM domains_in(getvariable('latest_domains_files'));

-- Enterprise connection
CREATE OR REPLACE MACRO enterprise_connections_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("provider" VARCHAR, "active" BOOLEAN, "authenticatable" BOOLEAN, "domains" VARCHAR[], "organization_id" VARCHAR, "sync_user_attributes" BOOLEAN, "disable_jit_provisioning" BOOLEAN, "disable_additional_identifications" BOOLEAN, "allow_organization_account_linking" BOOLEAN, "custom_attributes" STRUCT("name" VARCHAR, "key" VARCHAR, "sso_path" VARCHAR, "scim_path" VARCHAR, "directory_path" VARCHAR, "multi_valued" BOOLEAN)[], "saml_connection" STRUCT("id" VARCHAR, "name" VARCHAR, "active" BOOLEAN, "idp_entity_id" VARCHAR, "idp_sso_url" VARCHAR, "idp_metadata_url" VARCHAR, "acs_url" VARCHAR, "sp_entity_id" VARCHAR, "sp_metadata_url" VARCHAR, "allow_idp_initiated" BOOLEAN, "allow_subdomains" BOOLEAN, "force_authn" BOOLEAN, "login_hint" STRUCT("mode" VARCHAR, "source" VARCHAR)), "oauth_config" STRUCT("id" VARCHAR, "name" VARCHAR, "provider_key" VARCHAR, "client_id" VARCHAR, "discovery_url" VARCHAR, "auth_url" VARCHAR, "token_url" VARCHAR, "user_info_url" VARCHAR, "requires_pkce" BOOLEAN))',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE enterprise_connections_files = (SELECT files_of('*', 'enterprise_connections'));
SET VARIABLE latest_enterprise_connections_files = (SELECT files_of(getvariable('latest'), 'enterprise_connections'));
CREATE OR REPLACE VIEW enterprise_connections AS FROM enterprise_connections_in(getvariable('enterprise_connections_files'));
CREATE OR REPLACE VIEW latest_enterprise_connections AS FROM enterprise_connections_in(getvariable('latest_enterprise_connections_files'));

-- Entitlement
CREATE OR REPLACE MACRO entitlements_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "id": 'VARCHAR',
    "resource": 'STRUCT("type" VARCHAR, "id" VARCHAR)',
    "slug": 'VARCHAR',
    "purpose": 'VARCHAR',
    "display_name": 'VARCHAR',
    "grantable_to": 'VARCHAR[]',
    "role": 'STRUCT("id" VARCHAR, "key" VARCHAR)'
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
    "kind": 'VARCHAR',
    "id": 'VARCHAR',
    "entitlement_id": 'VARCHAR',
    "resource": 'STRUCT("type" VARCHAR, "id" VARCHAR)',
    "slug": 'VARCHAR',
    "principal": 'STRUCT("type" VARCHAR, "id" VARCHAR)',
    "role": 'STRUCT("id" VARCHAR, "key" VARCHAR)',
    "permissions": 'VARCHAR[]',
    "source": 'STRUCT("type" VARCHAR, "id" VARCHAR)',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE grants_files = (SELECT files_of('*', 'grants'));
SET VARIABLE latest_grants_files = (SELECT files_of(getvariable('latest'), 'grants'));
CREATE OR REPLACE VIEW grants AS FROM grants_in(getvariable('grants_files'));
CREATE OR REPLACE VIEW latest_grants AS FROM grants_in(getvariable('latest_grants_files'));

-- Invitation
CREATE OR REPLACE MACRO invitations_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("email_address" VARCHAR, "status" VARCHAR, "expires_at" VARCHAR, "public_metadata" JSON)',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE invitations_files = (SELECT files_of('*', 'invitations'));
SET VARIABLE latest_invitations_files = (SELECT files_of(getvariable('latest'), 'invitations'));
CREATE OR REPLACE VIEW invitations AS FROM invitations_in(getvariable('invitations_files'));
CREATE OR REPLACE VIEW latest_invitations AS FROM invitations_in(getvariable('latest_invitations_files'));

-- JWT template
CREATE OR REPLACE MACRO jwt_templates_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("claims" JSON, "lifetime" BIGINT, "allowed_clock_skew" BIGINT, "custom_signing_key" BOOLEAN, "signing_algorithm" VARCHAR)',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE jwt_templates_files = (SELECT files_of('*', 'jwt_templates'));
SET VARIABLE latest_jwt_templates_files = (SELECT files_of(getvariable('latest'), 'jwt_templates'));
CREATE OR REPLACE VIEW jwt_templates AS FROM jwt_templates_in(getvariable('jwt_templates_files'));
CREATE OR REPLACE VIEW latest_jwt_templates AS FROM jwt_templates_in(getvariable('latest_jwt_templates_files'));

-- Machine
CREATE OR REPLACE MACRO machines_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("default_token_ttl" BIGINT, "scoped_machines" STRUCT("id" VARCHAR, "name" VARCHAR)[])',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE machines_files = (SELECT files_of('*', 'machines'));
SET VARIABLE latest_machines_files = (SELECT files_of(getvariable('latest'), 'machines'));
CREATE OR REPLACE VIEW machines AS FROM machines_in(getvariable('machines_files'));
CREATE OR REPLACE VIEW latest_machines AS FROM machines_in(getvariable('latest_machines_files'));

-- OAuth application
CREATE OR REPLACE MACRO oauth_applications_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("client_id" VARCHAR, "client_uri" VARCHAR, "public" BOOLEAN, "dynamically_registered" BOOLEAN, "consent_screen_enabled" BOOLEAN, "pkce_required" BOOLEAN, "scopes" VARCHAR, "redirect_uris" VARCHAR[], "authorize_url" VARCHAR, "token_fetch_url" VARCHAR, "user_info_url" VARCHAR, "discovery_url" VARCHAR, "token_introspection_url" VARCHAR)',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE oauth_applications_files = (SELECT files_of('*', 'oauth_applications'));
SET VARIABLE latest_oauth_applications_files = (SELECT files_of(getvariable('latest'), 'oauth_applications'));
CREATE OR REPLACE VIEW oauth_applications AS FROM oauth_applications_in(getvariable('oauth_applications_files'));
CREATE OR REPLACE VIEW latest_oauth_applications AS FROM oauth_applications_in(getvariable('latest_oauth_applications_files'));

-- Organization domain
CREATE OR REPLACE MACRO organization_domains_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("organization_id" VARCHAR, "enrollment_mode" VARCHAR, "affiliation_email_address" VARCHAR, "affiliation_verification" STRUCT("status" VARCHAR, "strategy" VARCHAR, "attempts" BIGINT, "expire_at" VARCHAR, "verified_at" VARCHAR), "ownership_verification" STRUCT("status" VARCHAR, "strategy" VARCHAR, "attempts" BIGINT, "expire_at" VARCHAR, "verified_at" VARCHAR), "total_pending_invitations" BIGINT, "total_pending_suggestions" BIGINT)',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE organization_domains_files = (SELECT files_of('*', 'organization_domains'));
SET VARIABLE latest_organization_domains_files = (SELECT files_of(getvariable('latest'), 'organization_domains'));
CREATE OR REPLACE VIEW organization_domains AS FROM organization_domains_in(getvariable('organization_domains_files'));
CREATE OR REPLACE VIEW latest_organization_domains AS FROM organization_domains_in(getvariable('latest_organization_domains_files'));

-- Organization invitation
CREATE OR REPLACE MACRO organization_invitations_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("email_address" VARCHAR, "status" VARCHAR, "organization_id" VARCHAR, "role_key" VARCHAR, "role_id" VARCHAR, "role_name" VARCHAR, "inviter_id" VARCHAR, "expires_at" VARCHAR, "public_metadata" JSON, "private_metadata" JSON)',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE organization_invitations_files = (SELECT files_of('*', 'organization_invitations'));
SET VARIABLE latest_organization_invitations_files = (SELECT files_of(getvariable('latest'), 'organization_invitations'));
CREATE OR REPLACE VIEW organization_invitations AS FROM organization_invitations_in(getvariable('organization_invitations_files'));
CREATE OR REPLACE VIEW latest_organization_invitations AS FROM organization_invitations_in(getvariable('latest_organization_invitations_files'));

-- Organization permission
CREATE OR REPLACE MACRO organization_permissions_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("key" VARCHAR, "description" VARCHAR, "type" VARCHAR)',
    "raw": 'JSON'
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
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("key" VARCHAR, "description" VARCHAR, "is_creator_eligible" BOOLEAN, "permissions" STRUCT("id" VARCHAR, "key" VARCHAR)[])',
    "raw": 'JSON'
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
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("slug" VARCHAR, "members_count" BIGINT, "pending_invitations_count" BIGINT, "max_allowed_memberships" BIGINT, "admin_delete_enabled" BOOLEAN, "created_by" VARCHAR, "role_set_key" VARCHAR, "last_active_at" VARCHAR, "public_metadata" JSON, "private_metadata" JSON)',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE organizations_files = (SELECT files_of('*', 'organizations'));
SET VARIABLE latest_organizations_files = (SELECT files_of(getvariable('latest'), 'organizations'));
CREATE OR REPLACE VIEW organizations AS FROM organizations_in(getvariable('organizations_files'));
CREATE OR REPLACE VIEW latest_organizations AS FROM organizations_in(getvariable('latest_organizations_files'));

-- Redirect URL
CREATE OR REPLACE MACRO redirect_urls_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("url" VARCHAR)',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE redirect_urls_files = (SELECT files_of('*', 'redirect_urls'));
SET VARIABLE latest_redirect_urls_files = (SELECT files_of(getvariable('latest'), 'redirect_urls'));
CREATE OR REPLACE VIEW redirect_urls AS FROM redirect_urls_in(getvariable('redirect_urls_files'));
CREATE OR REPLACE VIEW latest_redirect_urls AS FROM redirect_urls_in(getvariable('latest_redirect_urls_files'));

-- Role set
CREATE OR REPLACE MACRO role_sets_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("key" VARCHAR, "description" VARCHAR, "type" VARCHAR, "roles" STRUCT("id" VARCHAR, "key" VARCHAR, "name" VARCHAR, "members_count" BIGINT, "has_members" BOOLEAN)[], "default_role" STRUCT("id" VARCHAR, "key" VARCHAR), "creator_role" STRUCT("id" VARCHAR, "key" VARCHAR), "role_set_migration" STRUCT("status" VARCHAR, "trigger_type" VARCHAR, "organization_id" VARCHAR, "source_role_set_id" VARCHAR, "dest_role_set_id" VARCHAR, "mappings" JSON, "migrated_members" BIGINT, "started_at" VARCHAR))',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE role_sets_files = (SELECT files_of('*', 'role_sets'));
SET VARIABLE latest_role_sets_files = (SELECT files_of(getvariable('latest'), 'role_sets'));
CREATE OR REPLACE VIEW role_sets AS FROM role_sets_in(getvariable('role_sets_files'));
CREATE OR REPLACE VIEW latest_role_sets AS FROM role_sets_in(getvariable('latest_role_sets_files'));

-- Session
CREATE OR REPLACE MACRO sessions_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("user_id" VARCHAR, "client_id" VARCHAR, "status" VARCHAR, "actor" JSON, "last_active_organization_id" VARCHAR, "last_active_at" VARCHAR, "latest_activity" STRUCT("device_type" VARCHAR, "is_mobile" BOOLEAN, "browser_name" VARCHAR, "browser_version" VARCHAR, "ip_address" VARCHAR, "city" VARCHAR, "country" VARCHAR), "expire_at" VARCHAR, "abandon_at" VARCHAR, "tasks" STRUCT("key" VARCHAR)[])',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE sessions_files = (SELECT files_of('*', 'sessions'));
SET VARIABLE latest_sessions_files = (SELECT files_of(getvariable('latest'), 'sessions'));
CREATE OR REPLACE VIEW sessions AS FROM sessions_in(getvariable('sessions_files'));
CREATE OR REPLACE VIEW latest_sessions AS FROM sessions_in(getvariable('latest_sessions_files'));

-- User
CREATE OR REPLACE MACRO users_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("username" VARCHAR, "first_name" VARCHAR, "last_name" VARCHAR, "external_id" VARCHAR, "primary_email" VARCHAR, "primary_email_verified" BOOLEAN, "emails" STRUCT("address" VARCHAR, "primary" BOOLEAN, "verified" BOOLEAN)[], "phones" STRUCT("number" VARCHAR, "primary" BOOLEAN, "verified" BOOLEAN, "second_factor" BOOLEAN)[], "banned" BOOLEAN, "locked" BOOLEAN, "deprovisioned" BOOLEAN, "last_sign_in_at" VARCHAR, "last_active_at" VARCHAR, "password_enabled" BOOLEAN, "two_factor_enabled" BOOLEAN, "totp_enabled" BOOLEAN, "backup_code_enabled" BOOLEAN, "passkeys" BIGINT, "mfa_enabled_at" VARCHAR, "mfa_disabled_at" VARCHAR, "external_accounts" STRUCT("provider" VARCHAR, "email" VARCHAR, "verified" BOOLEAN)[], "enterprise_accounts" STRUCT("provider" VARCHAR, "email" VARCHAR, "active" BOOLEAN)[], "web3_wallets" VARCHAR[], "create_organization_enabled" BOOLEAN, "delete_self_enabled" BOOLEAN, "legal_accepted_at" VARCHAR, "locale" VARCHAR, "public_metadata" JSON, "private_metadata" JSON, "unsafe_metadata" JSON)',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE users_files = (SELECT files_of('*', 'users'));
SET VARIABLE latest_users_files = (SELECT files_of(getvariable('latest'), 'users'));
CREATE OR REPLACE VIEW users AS FROM users_in(getvariable('users_files'));
CREATE OR REPLACE VIEW latest_users AS FROM users_in(getvariable('latest_users_files'));

-- Waitlist entry
CREATE OR REPLACE MACRO waitlist_entries_in(files) AS TABLE
  SELECT * EXCLUDE (filename), regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1) AS snapshot_id
  FROM read_json(files, format = 'auto', filename = TRUE, columns = {
    "kind": 'VARCHAR',
    "type": 'VARCHAR',
    "id": 'VARCHAR',
    "display_name": 'VARCHAR',
    "status": 'VARCHAR',
    "created_at": 'VARCHAR',
    "updated_at": 'VARCHAR',
    "profile": 'STRUCT("email_address" VARCHAR, "status" VARCHAR, "is_locked" BOOLEAN, "invitation" STRUCT("id" VARCHAR, "status" VARCHAR, "expires_at" VARCHAR, "created_at" VARCHAR))',
    "raw": 'JSON'
  })
  WHERE kind IS NOT NULL;
SET VARIABLE waitlist_entries_files = (SELECT files_of('*', 'waitlist_entries'));
SET VARIABLE latest_waitlist_entries_files = (SELECT files_of(getvariable('latest'), 'waitlist_entries'));
CREATE OR REPLACE VIEW waitlist_entries AS FROM waitlist_entries_in(getvariable('waitlist_entries_files'));
CREATE OR REPLACE VIEW latest_waitlist_entries AS FROM waitlist_entries_in(getvariable('latest_waitlist_entries_files'));

-- Change, from each snapshot to the next
SET VARIABLE changes_files = (
  SELECT coalesce(list(file), [getvariable('root') || 'latest.json'])
  FROM glob(getvariable('root') || 'changes/*/part-*'));
CREATE OR REPLACE VIEW changes AS
  FROM read_json(getvariable('changes_files'), format = 'auto', columns = {
    "kind": 'VARCHAR',
    "op": 'VARCHAR',
    "event": 'VARCHAR',
    "class": 'VARCHAR',
    "certainty": 'VARCHAR',
    "dataset": 'VARCHAR',
    "id": 'VARCHAR',
    "subject": 'STRUCT("type" VARCHAR, "id" VARCHAR)',
    "target": 'STRUCT("type" VARCHAR, "id" VARCHAR)',
    "role": 'STRUCT("id" VARCHAR, "key" VARCHAR)',
    "pair": 'VARCHAR',
    "cause": 'STRUCT("type" VARCHAR, "id" VARCHAR)',
    "fields": 'STRUCT("path" VARCHAR, "before" JSON, "after" JSON)[]',
    "before": 'JSON',
    "after": 'JSON',
    "window": 'STRUCT("after" VARCHAR, "before" VARCHAR)',
    "from": 'VARCHAR',
    "to": 'VARCHAR'
  })
  WHERE kind IS NOT NULL;
