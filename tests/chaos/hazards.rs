//! Additional hazards of some schedules: stores that do not delete or ignore conditions, every
//! refusal of Clerk, keys of other instances, odd values in rows.

use clerk_sandbox::{Effect, FaultRule, Sandbox};
use fastrand::Rng;
use serde_json::json;

use super::further::{self, Further};
use super::schedule::Lie;
use crate::support::plain::{FIRST, add};

/// One schedule in this many has no additional hazards.
const NONE_IN: u32 = 2;
/// Makes these random numbers differ from everything else drawn from a seed.
const APART: u64 = 0x5eed_ed0d_d17e_5000;

/// The id of the instance to which the key in the secret may change.
pub(super) const OTHER_INSTANCE: &str = "ins_other";
/// The prefix of its keys.
pub(super) const OTHER_KEY: &str = "sk_test_other_instance";

/// The additional hazards of one seed.
#[derive(Debug, Clone, Default)]
pub(super) struct Hazards {
    /// In the order in which they are added to the schedule.
    pub(super) kinds: Vec<Hazard>,
    /// `SHRINK_GUARD_PERCENT`.
    pub(super) guard: u32,
}

/// Something that makes a schedule harder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hazard {
    /// Objects cannot be deleted.
    Deletes,
    /// Clerk refuses lists, for every reason it has.
    Refusals,
    /// Rows are deleted, or lists that had rows are refused, and the guard is on.
    Losses,
    /// The secret changes to a key of another instance.
    OtherInstance,
    /// Fields have values of the wrong type.
    OddValues,
    /// The store ignores conditions at first.
    NoConditions,
}

impl Hazards {
    /// The hazards of a seed, with the random numbers to draw the acts from.
    pub(super) fn of(seed: u64) -> (Self, Rng) {
        let mut random = Rng::with_seed(seed ^ APART);
        let mut hazards = Self::default();
        if random.u32(0..NONE_IN) == 0 {
            return (hazards, random);
        }
        let all = [
            Hazard::Deletes,
            Hazard::Refusals,
            Hazard::Losses,
            Hazard::OtherInstance,
            Hazard::OddValues,
            Hazard::NoConditions,
        ];
        for _ in 0..if random.u32(0..4) == 0 { 2 } else { 1 } {
            let kind = all[random.usize(0..all.len())];
            if !hazards.kinds.contains(&kind) {
                hazards.kinds.push(kind);
            }
        }
        // The store is like that from the beginning.
        hazards.kinds.sort_by_key(|kind| *kind == Hazard::NoConditions);
        if hazards.kinds.contains(&Hazard::Losses) {
            hazards.guard = [10, 50, 50, 90][random.usize(0..4)];
        }
        (hazards, random)
    }
}

/// The instance lacks a feature.
const FEATURES: [(u16, &str); 14] = [
    (400, "feature_not_enabled"),
    (400, "request_invalid_for_instance"),
    (400, "request_invalid_for_environment"),
    (400, "scim_directory_disabled"),
    (402, "unsupported_subscription_plan_features"),
    (403, "organization_not_enabled_in_instance"),
    (403, "billing_not_enabled"),
    (403, "organization_slugs_disabled"),
    (403, "feature_requires_custom_domain"),
    (403, "organization_domains_not_enabled"),
    (410, "operation_deprecated"),
    (422, "api_keys_not_enabled"),
    (422, "feature_requires_oidc_provider"),
    (403, "a_new_feature_not_enabled"),
];
/// The key lacks permission.
const KEYS: [(u16, &str); 8] = [
    (403, "authorization_invalid"),
    (403, "authorization_missing_scopes"),
    (403, "quota_exceeded"),
    (403, "action_blocked"),
    (403, "not_allowed_access"),
    (403, "user_banned"),
    (403, "a_code_of_tomorrow"),
    (401, "authentication_invalid"),
];
/// The request is worth another attempt.
const AGAIN: [(u16, &str); 5] = [
    (408, "request_timeout"),
    (409, "resource_locked"),
    (425, "too_early"),
    (500, "internal_clerk_error"),
    (504, "request_timeout"),
];
/// Statuses that a proxy or a firewall answers without a code of Clerk's.
const CODELESS: [u16; 9] = [400, 402, 403, 404, 405, 410, 418, 422, 451];
/// The answer cannot be interpreted.
const UNREADABLE: [(u16, &str); 9] = [
    (404, "resource_not_found"),
    (400, "bad_request"),
    (402, "payment_required"),
    (409, "conflict"),
    (410, "gone"),
    (413, "content_too_large"),
    (422, "form_param_value_invalid"),
    (404, "oauth_token_provider_not_enabled"),
    (418, "a_code_of_tomorrow"),
];

/// Clerk answers a list with an error of some kind; `always` makes it last more often.
pub(super) fn some_refusal(
    further: Option<&Further>,
    random: &mut Rng,
    always: bool,
) -> (FaultRule, Lie) {
    let path = match random.u32(0..8) {
        0 => "/v1/users/count".to_owned(),
        1 => "/v1/instance".to_owned(),
        _ => further::some_path(further, random),
    };
    let first = [1, 1, 1, 2, 3][random.usize(0..5)];
    let is_forever = if always { random.u32(0..4) > 0 } else { random.u32(0..3) == 0 };
    let last = if is_forever { u64::MAX } else { first + random.u64(0..=2) };
    let rule = FaultRule::on(path).calls(first, last);
    let of = |codes: &[(u16, &'static str)], random: &mut Rng| codes[random.usize(0..codes.len())];
    let kind = if always { 0 } else { random.u32(0..10) };
    match kind {
        0..=3 => {
            let (status, code) = of(&FEATURES, random);
            (rule.status(status, code), Lie::None)
        }
        4 | 5 => {
            let (status, code) = of(&KEYS, random);
            (rule.status(status, code), Lie::Key)
        }
        6 => {
            let (status, code) = of(&AGAIN, random);
            (rule.status(status, code), Lie::None)
        }
        7 => {
            let status = CODELESS[random.usize(0..CODELESS.len())];
            (rule.effect(Effect::Html(status)), Lie::None)
        }
        _ => {
            let (status, code) = of(&UNREADABLE, random);
            (rule.status(status, code), Lie::None)
        }
    }
}

/// Rows that are deleted between two snapshots.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loss {
    /// The list.
    list: &'static str,
    /// The percentage of rows that stay.
    stay: usize,
}

impl Loss {
    /// Draws a loss.
    pub(super) fn some(further: Option<&Further>, random: &mut Rng) -> Self {
        let lists: Vec<&str> = ["users", "organizations", "organization_memberships"]
            .into_iter()
            .chain(further.into_iter().flat_map(Further::lists))
            .collect();
        let list = lists[random.usize(0..lists.len())];
        Self { list, stay: [0, 9, 10, 49, 50, 51, 95][random.usize(0..7)] }
    }

    /// Deletes the rows.
    pub(super) fn befall(self, sandbox: &Sandbox) {
        let ids = sandbox.ids(self.list);
        for id in &ids[ids.len() * self.stay / 100..] {
            sandbox.delete(self.list, id);
        }
    }
}

/// The instance to which the secret may change, with a few rows that are not in the first one.
pub(super) fn other_instance(first: &Sandbox) -> Sandbox {
    let other = Sandbox::empty();
    other.set_instance(OTHER_INSTANCE, "development");
    other.add_role("org:member", "Member", &[], FIRST);
    for number in 0..23 {
        add(&other, "users", &format!("users_of_other_{number:03}"), FIRST + number);
    }
    for number in 0..3 {
        let id = format!("organizations_of_other_{number}");
        add(&other, "organizations", &id, FIRST + number);
        let user = format!("users_of_other_{number:03}");
        other.add_membership(&id, &user, "org:member", FIRST + number).expect("both are there");
    }
    // The same row in both instances: nothing about it shows which instance it is of.
    if let Some(user) = first.users().first() {
        let row = json!({
            "object": "user", "id": user["id"], "name": user["id"],
            "created_at": user["created_at"], "updated_at": user["updated_at"],
        });
        other.insert("users", row).expect("it is new there");
    }
    other
}
