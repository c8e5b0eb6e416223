// The copy that a user would write with Clerk's official JavaScript SDK: one page after the other, the
// largest pages there are, memberships from the instance-wide list, and the same lines that clerk-sync
// writes (docs/data.md), as gzip of level 1. What the SDK's classes leave out is taken from `raw`.
//
// Usage: node loop.mjs URL FOLDER WRITES    prints {"records": N, "requests": N} when it is done
//
// WRITES is `page` or `line`: what is given to the compressor at once. The latter is what comes to mind
// first; every write is then a task for another thread.

import { createClerkClient } from "@clerk/backend";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { constants, createGzip } from "node:zlib";

const PAGE = 500;
const KEY = "sk_test_sandbox";

let records = 0;
let requests = 0;

async function main(url, folder, writes) {
  const clerk = createClerkClient({ secretKey: KEY, apiUrl: url });
  const names = [
    "users",
    "organizations",
    "organization_roles",
    "organization_permissions",
    "entitlements",
    "grants",
  ];
  const file = (name) => new LinesFile(join(folder, `${name}.ndjson.gz`), writes === "line");
  const files = Object.fromEntries(names.map((name) => [name, file(name)]));

  const permissions = (page) => clerk.organizationPermissions.getOrganizationPermissionList(page);
  for await (const rows of pages(permissions)) {
    await files.organization_permissions.write(rows.map(permissionRecord));
    await files.entitlements.write(rows.map(permissionEntitlement));
  }

  const roles = new Map();
  for await (const rows of pages((page) => clerk.organizationRoles.getOrganizationRoleList(page))) {
    rows.forEach((role) => roles.set(role.key, role));
    await files.organization_roles.write(rows.map(roleRecord));
    await files.grants.write(rows.flatMap(permissionGrants));
  }

  for await (const rows of pages((page) => clerk.users.getUserList(page))) {
    await files.users.write(rows.map(userRecord));
  }

  const organizations = (page) =>
    clerk.organizations.getOrganizationList({ ...page, includeMembersCount: true });
  for await (const rows of pages(organizations)) {
    await files.organizations.write(rows.map(organizationRecord));
    await files.entitlements.write(rows.flatMap((row) => entitlements(row, roles)));
  }

  const memberships = (page) => clerk.organizations.getInstanceOrganizationMembershipList(page);
  for await (const rows of pages(memberships)) {
    await files.grants.write(rows.flatMap((row) => grants(row, roles)));
  }

  await Promise.all(Object.values(files).map((file) => file.end()));
  console.log(JSON.stringify({ records, requests }));
}

async function* pages(read) {
  for (let offset = 0; ; offset += PAGE) {
    requests += 1;
    const { data } = await read({ limit: PAGE, offset, orderBy: "+created_at" });
    yield data;
    if (data.length < PAGE) {
      return;
    }
  }
}

class LinesFile {
  constructor(path, lineByLine) {
    this.lineByLine = lineByLine;
    this.gzip = createGzip({ level: constants.Z_BEST_SPEED });
    this.written = pipeline(this.gzip, createWriteStream(path));
  }

  async write(rows) {
    records += rows.length;
    const lines = rows.map((row) => JSON.stringify(row) + "\n");
    for (const text of this.lineByLine ? lines : [lines.join("")]) {
      if (!this.gzip.write(text)) {
        await once(this.gzip, "drain");
      }
    }
  }

  async end() {
    this.gzip.end();
    await this.written;
  }
}

const resource = (type, row, displayName, status, profile) => ({
  kind: "resource",
  type,
  id: row.id,
  display_name: displayName,
  status,
  created_at: time(row.createdAt),
  updated_at: time(row.updatedAt),
  profile,
});

function userRecord(user) {
  const { raw, primaryEmailAddress: primary } = user;
  const name = [user.firstName, user.lastName].filter(Boolean).join(" ");
  const displayName = name || user.username || primary?.emailAddress || user.id;
  const status = user.banned || user.locked || raw.deprovisioned ? "disabled" : "enabled";
  return resource("user", user, displayName, status, {
    username: user.username,
    first_name: user.firstName,
    last_name: user.lastName,
    external_id: user.externalId,
    primary_email: primary?.emailAddress ?? null,
    primary_email_verified: verified(primary?.verification),
    emails: user.emailAddresses.map((email) => ({
      address: email.emailAddress,
      primary: email.id === user.primaryEmailAddressId,
      verified: verified(email.verification),
    })),
    phones: user.phoneNumbers.map((phone) => ({
      number: phone.phoneNumber,
      primary: phone.id === user.primaryPhoneNumberId,
      verified: verified(phone.verification),
      second_factor: phone.reservedForSecondFactor,
    })),
    banned: user.banned,
    locked: user.locked,
    deprovisioned: raw.deprovisioned ?? null,
    last_sign_in_at: time(user.lastSignInAt),
    last_active_at: time(user.lastActiveAt),
    password_enabled: user.passwordEnabled,
    two_factor_enabled: user.twoFactorEnabled,
    totp_enabled: user.totpEnabled,
    backup_code_enabled: user.backupCodeEnabled,
    passkeys: raw.passkeys?.length ?? null,
    mfa_enabled_at: time(raw.mfa_enabled_at),
    mfa_disabled_at: time(raw.mfa_disabled_at),
    external_accounts: user.externalAccounts.map((account) => ({
      provider: account.provider,
      email: account.emailAddress ?? null,
      verified: verified(account.verification),
    })),
    enterprise_accounts: user.enterpriseAccounts.map((account) => ({
      provider: account.provider,
      email: account.emailAddress ?? null,
      active: account.active,
    })),
    web3_wallets: user.web3Wallets.map((wallet) => wallet.web3Wallet),
    create_organization_enabled: user.createOrganizationEnabled,
    delete_self_enabled: user.deleteSelfEnabled,
    legal_accepted_at: time(user.legalAcceptedAt),
    locale: user.locale,
  });
}

function organizationRecord(organization) {
  const { raw } = organization;
  return resource("organization", organization, organization.name, "enabled", {
    slug: organization.slug,
    members_count: organization.membersCount ?? null,
    pending_invitations_count: raw.pending_invitations_count ?? null,
    max_allowed_memberships: organization.maxAllowedMemberships,
    admin_delete_enabled: organization.adminDeleteEnabled,
    created_by: organization.createdBy ?? null,
    role_set_key: raw.role_set_key ?? null,
    last_active_at: time(raw.last_active_at),
  });
}

const roleRecord = (role) =>
  resource("organization_role", role, role.name, "enabled", {
    key: role.key,
    description: role.description,
    is_creator_eligible: role.isCreatorEligible,
    permissions: role.permissions.map(({ id, key }) => ({ id, key })),
  });

const permissionRecord = (permission) =>
  resource("organization_permission", permission, permission.name, "enabled", {
    key: permission.key,
    description: permission.description,
    type: permission.type ?? null,
  });

const permissionEntitlement = (permission) => ({
  kind: "entitlement",
  id: `organization_permission:${permission.id}:assigned`,
  resource: { type: "organization_permission", id: permission.id },
  slug: "assigned",
  purpose: "permission",
  display_name: permission.name,
  grantable_to: ["organization_role"],
  role: null,
});

const permissionGrants = (role) =>
  role.permissions.map((permission) => ({
    kind: "grant",
    id: `organization_permission:${permission.id}:assigned:organization_role:${role.id}`,
    entitlement_id: `organization_permission:${permission.id}:assigned`,
    resource: { type: "organization_permission", id: permission.id },
    slug: "assigned",
    principal: { type: "organization_role", id: role.id },
    role: null,
    permissions: null,
    source: null,
    created_at: time(role.createdAt),
    updated_at: time(role.updatedAt),
  }));

const entitlements = (organization, roles) => [
  entitlement(organization, "member", "member", null),
  ...Array.from(roles.values(), (role) =>
    entitlement(organization, role.id, role.name, { id: role.id, key: role.key }),
  ),
];

const entitlement = (organization, slug, called, role) => ({
  kind: "entitlement",
  id: `organization:${organization.id}:${slug}`,
  resource: { type: "organization", id: organization.id },
  slug,
  purpose: "assignment",
  display_name: `${organization.name} ${called}`,
  grantable_to: ["user"],
  role,
});

function grants(membership, roles) {
  const member = grant(membership, "member", null, null);
  const role = roles.get(membership.role);
  if (role === undefined) {
    return [member];
  }
  return [member, grant(membership, role.id, { id: role.id, key: role.key }, membership.permissions)];
}

function grant(membership, slug, role, permissions) {
  const organization = membership.organization.id;
  const user = membership.publicUserData.userId;
  return {
    kind: "grant",
    id: `organization:${organization}:${slug}:user:${user}`,
    entitlement_id: `organization:${organization}:${slug}`,
    resource: { type: "organization", id: organization },
    slug,
    principal: { type: "user", id: user },
    role,
    permissions,
    source: { type: "organization_membership", id: membership.id },
    created_at: time(membership.createdAt),
    updated_at: time(membership.updatedAt),
  };
}

const time = (milliseconds) => (milliseconds == null ? null : new Date(milliseconds).toISOString());

const verified = (verification) =>
  verification?.status == null ? null : verification.status === "verified";

const [url, folder, writes] = process.argv.slice(2);
if (!["page", "line"].includes(writes)) {
  console.error("usage: node loop.mjs URL FOLDER page|line");
  process.exit(2);
}
await main(url.replace(/\/$/, ""), folder, writes);
