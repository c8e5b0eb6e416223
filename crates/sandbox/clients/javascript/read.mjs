// Reads a running sandbox with Clerk's official JavaScript SDK and compares what it got with the
// source.
//
// Usage: node read.mjs URL    (the line that clerk-sandbox prints)

import { createClerkClient } from "@clerk/backend";

const PAGE = 100;
const KEY = "sk_test_sandbox";

async function main(url) {
  const clerk = createClerkClient({ secretKey: KEY, apiUrl: url });
  const problems = [];
  for (const [name, read] of Object.entries(readers)) {
    const got = (await everyPage((offset) => read(clerk, offset))).map((row) => row.id);
    const expected = await sourceIds(url, name);
    if (JSON.stringify(got) !== JSON.stringify(expected)) {
      problems.push(`${name}: ${got.length} rows read, ${expected.length} in the source`);
    }
  }
  const memberships = [];
  for (const organizationId of await sourceIds(url, "organizations")) {
    memberships.push(...(await everyPage((offset) => membershipsOf(clerk, organizationId, offset))));
  }
  const got = memberships.map((row) => row.id).sort();
  const expected = (await sourceIds(url, "organization_memberships")).sort();
  if (JSON.stringify(got) !== JSON.stringify(expected)) {
    problems.push(`memberships by organization: ${got.length} rows read, ${expected.length} in the source`);
  }
  const counted = await clerk.users.getCount();
  if (counted !== (await sourceIds(url, "users")).length) {
    problems.push(`users: ${counted} counted`);
  }
  const stats = await (await fetch(`${url}/sandbox/stats`)).json();
  problems.push(...stats.violations.map((violation) => `violation: ${JSON.stringify(violation)}`));
  for (const problem of problems) {
    console.error(`javascript: ${problem}`);
  }
  return problems.length === 0 ? 0 : 1;
}

const readers = {
  users: async (clerk, offset) =>
    (await clerk.users.getUserList({ limit: PAGE, offset, orderBy: "+created_at" })).data,
  organizations: async (clerk, offset) =>
    (
      await clerk.organizations.getOrganizationList({
        limit: PAGE,
        offset,
        orderBy: "+created_at",
        includeMembersCount: true,
      })
    ).data,
  organization_memberships: async (clerk, offset) =>
    (
      await clerk.organizations.getInstanceOrganizationMembershipList({
        limit: PAGE,
        offset,
        orderBy: "+created_at",
      })
    ).data,
  organization_roles: async (clerk, offset) =>
    (await clerk.organizationRoles.getOrganizationRoleList({ limit: PAGE, offset, orderBy: "+created_at" })).data,
  organization_permissions: async (clerk, offset) =>
    (
      await clerk.organizationPermissions.getOrganizationPermissionList({
        limit: PAGE,
        offset,
        orderBy: "+created_at",
      })
    ).data,
};

async function membershipsOf(clerk, organizationId, offset) {
  const page = { organizationId, limit: PAGE, offset, orderBy: "+created_at" };
  return (await clerk.organizations.getOrganizationMembershipList(page)).data;
}

async function everyPage(page) {
  const rows = [];
  for (;;) {
    const found = await page(rows.length);
    rows.push(...found);
    if (found.length < PAGE) {
      return rows;
    }
  }
}

async function sourceIds(url, name) {
  const lines = await (await fetch(`${url}/sandbox/rows/${name}`)).text();
  return lines
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line).id);
}

if (process.argv.length !== 3) {
  console.error("usage: node read.mjs URL");
  process.exit(2);
}
process.exit(await main(process.argv[2].replace(/\/$/, "")));
