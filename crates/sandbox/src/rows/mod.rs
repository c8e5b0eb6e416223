//! A row of a list: its place, what it belongs to, and its JSON text as Clerk would return it.

pub(crate) mod draw;
pub(crate) mod json;
mod membership;
mod organization;
mod role;
mod samples;
mod user;

use std::sync::{Arc, OnceLock};

use serde_json::Value;

pub(crate) use membership::{MembershipRecipe, RoleOfMembership};
pub(crate) use organization::organization_row;
pub(crate) use role::{permission, permission_named, role};
pub(crate) use samples::{Sample, Surroundings, sample};
pub(crate) use user::user_row;

/// Settings that all synthetic rows of a sandbox share.
#[derive(Debug)]
pub(crate) struct Style {
    /// The latest time at which anything may have happened, in milliseconds since 1970.
    pub(crate) now: i64,
    /// Whether to use statuses, strategies and providers that no published schema lists.
    pub(crate) unknown_values: bool,
    /// Whether phone numbers have `backup_codes`.
    pub(crate) backup_codes: bool,
    /// Filler bytes in `public_metadata`, in addition to its few regular fields.
    pub(crate) metadata_bytes: usize,
}

/// A row's place in its list: `created_at` in milliseconds, then the order of insertion.
pub(crate) type Place = (i64, u64);

/// A row. Its text is rendered when it is first read, and kept.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: Arc<str>,
    pub(crate) place: Place,
    /// The organization that it belongs to and is deleted with.
    pub(crate) organization_id: Option<Arc<str>>,
    /// The user, machine or other subject that it belongs to and is deleted with.
    pub(crate) owner_id: Option<Arc<str>>,
    pub(crate) stats: Facts,
    recipe: Recipe,
    text: OnceLock<Box<str>>,
}

/// Fields that are filtered by so often that parsing the row would be too slow.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) banned: bool,
    /// Milliseconds since 1970, rounded to days.
    pub(crate) last_active_at: Option<i64>,
    /// Milliseconds since 1970.
    pub(crate) last_sign_in_at: Option<i64>,
}

/// How the text is made.
#[derive(Debug)]
pub(crate) enum Recipe {
    /// The text was given.
    Written,
    User {
        seed: u64,
        style: Arc<Style>,
    },
    Organization {
        seed: u64,
        style: Arc<Style>,
    },
    Membership(Box<MembershipRecipe>),
}

impl Row {
    /// A row whose text is rendered on first use.
    pub(crate) fn synthetic(id: Arc<str>, place: Place, stats: Facts, recipe: Recipe) -> Self {
        let (organization_id, owner_id) = match &recipe {
            Recipe::Membership(membership) => (
                Some(Arc::clone(&membership.organization.id)),
                Some(Arc::clone(&membership.user.id)),
            ),
            _ => (None, None),
        };
        Self { id, place, organization_id, owner_id, stats, recipe, text: OnceLock::new() }
    }

    /// A row given as JSON, from which the caller has taken `id` and `place`.
    pub(crate) fn written(id: Arc<str>, place: Place, value: &Value) -> Self {
        let first_text = |pointers: &[&str]| {
            pointers.iter().find_map(|pointer| value.pointer(pointer)?.as_str()).map(Arc::from)
        };
        Self {
            id,
            place,
            organization_id: first_text(&["/organization/id", "/organization_id"]),
            owner_id: first_text(&["/public_user_data/user_id", "/user_id", "/subject"]),
            stats: Facts {
                banned: value["banned"].as_bool().unwrap_or(false),
                last_active_at: value["last_active_at"].as_i64(),
                last_sign_in_at: value["last_sign_in_at"].as_i64(),
            },
            recipe: Recipe::Written,
            text: OnceLock::from(value.to_string().into_boxed_str()),
        }
    }

    /// The row as Clerk returns it, without the fields that are counted per request (`members_count`).
    pub(crate) fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let mut out = String::with_capacity(4096);
            match &self.recipe {
                // A written row already has its text.
                Recipe::Written => out.push_str("{}"),
                Recipe::User { seed, style } => user::render(&mut out, *seed, self.place.0, style),
                Recipe::Organization { seed, style } => {
                    organization::render(&mut out, *seed, self.place.0, style)
                }
                Recipe::Membership(membership) => {
                    membership.render(&mut out, &self.id, self.place.0)
                }
            }
            out.into_boxed_str()
        })
    }

    /// The text, parsed.
    pub(crate) fn value(&self) -> Value {
        // Every text was rendered here or from a value, so it parses. If it did not, null would show it.
        serde_json::from_str(self.text()).unwrap_or(Value::Null)
    }

    /// The seed and style of a synthetic user, which save parsing its text.
    pub(crate) fn user_recipe(&self) -> Option<(u64, &Style)> {
        match &self.recipe {
            Recipe::User { seed, style } => Some((*seed, style)),
            _ => None,
        }
    }
}
