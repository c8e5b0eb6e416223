//! Memberships (Clerk OpenAPI 2026-05-12, schema `OrganizationMembership`).

use std::sync::Arc;

use super::Row;
use super::draw::{identifier, one_in, pick};
use super::json::Object;
use super::user::{User, image_url};

/// The role of a membership, which refers to it by key rather than id.
#[derive(Debug)]
pub(crate) struct RoleOfMembership {
    pub(crate) key: String,
    /// `None` if no such role exists.
    pub(crate) name: Option<String>,
    /// The keys of the role's permissions.
    pub(crate) permissions: Vec<String>,
}

/// The parts of a membership. It repeats the user and the organization as they were when it was created.
#[derive(Debug)]
pub(crate) struct MembershipRecipe {
    pub(crate) seed: u64,
    pub(crate) organization: Arc<Row>,
    pub(crate) user: Arc<Row>,
    pub(crate) role: Arc<RoleOfMembership>,
}

impl MembershipRecipe {
    /// The membership's id.
    pub(crate) fn id(&self) -> String {
        identifier(&mut fastrand::Rng::with_seed(self.seed), "orgmem_")
    }

    /// Appends the membership.
    pub(crate) fn render(&self, out: &mut String, id: &str, created_at: i64) {
        let mut random = fastrand::Rng::with_seed(self.seed);
        Object::write(out, |object| {
            object.text("object", "organization_membership");
            object.text("id", id);
            object.text("role", &self.role.key);
            if let Some(name) = &self.role.name {
                object.text("role_name", name);
            }
            object.array("permissions", |array| {
                for key in &self.role.permissions {
                    array.text(key);
                }
            });
            object.object("public_metadata", |object| {
                if one_in(&mut random, 3) {
                    object.text("team", pick(&mut random, &["blue", "red", "ünïcode"]));
                }
            });
            if one_in(&mut random, 2) {
                object.raw("private_metadata", "{}");
            }
            object.raw("organization", self.organization.text());
            object.object("public_user_data", |object| public_user_data(object, &self.user));
            object.number("created_at", created_at);
            object.number("updated_at", created_at + i64::from(random.u32(0..2)) * 60_000);
        });
    }
}

fn public_user_data(object: &mut Object<'_>, user: &Row) {
    let image = image_url(&user.id);
    object.text("user_id", &user.id);
    match user.user_recipe() {
        Some((seed, style)) => {
            let user = User::draw(seed, user.place.0, style);
            object.text_or_null("first_name", user.first_name);
            object.text_or_null("last_name", user.last_name);
            object.text("profile_image_url", &image);
            object.text("image_url", &image);
            object.flag("has_image", user.has_image);
            object.text_or_null(
                "identifier",
                user.email_address.as_deref().or(user.username.as_deref()),
            );
            object.text_or_null("username", user.username.as_deref());
            object.flag("banned", user.banned);
            object.flag("deprovisioned", user.deprovisioned);
        }
        None => {
            let value = user.value();
            object.text_or_null("first_name", value["first_name"].as_str());
            object.text_or_null("last_name", value["last_name"].as_str());
            object.text("profile_image_url", &image);
            object.text("image_url", &image);
            object.flag("has_image", value["has_image"].as_bool().unwrap_or(false));
            let identifier =
                value.pointer("/email_addresses/0/email_address").or(value.get("username"));
            object.text_or_null("identifier", identifier.and_then(|text| text.as_str()));
            object.text_or_null("username", value["username"].as_str());
            object.flag("banned", user.stats.banned);
            object.flag("deprovisioned", value["deprovisioned"].as_bool().unwrap_or(false));
        }
    }
}
