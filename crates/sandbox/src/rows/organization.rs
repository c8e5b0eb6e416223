//! Organizations (Clerk OpenAPI 2026-05-12, schema `Organization`).

use std::sync::Arc;

use super::draw::{COMPANY_KINDS, COMPANY_NAMES, identifier, one_in, pick};
use super::json::Object;
use super::{Facts, Place, Recipe, Row, Style};

/// A synthetic organization, which its seed and `created_at` determine completely.
pub(crate) fn organization_row(seed: u64, place: Place, style: &Arc<Style>) -> Row {
    let id = identifier(&mut fastrand::Rng::with_seed(seed), "org_");
    Row::synthetic(
        id.into(),
        place,
        Facts::default(),
        Recipe::Organization { seed, style: Arc::clone(style) },
    )
}

/// Appends the organization for `seed` and `created_at`, without its two counts: Clerk includes them only on request
/// (`include_members_count`).
pub(crate) fn render(out: &mut String, seed: u64, created_at: i64, style: &Style) {
    let mut random = fastrand::Rng::with_seed(seed);
    let random = &mut random;
    let id = identifier(random, "org_");
    let slug = format!("org-{}", id[4..16].to_lowercase());
    let updated_at = created_at + i64::from(random.u32(0..3_600_000));
    Object::write(out, |object| {
        object.text("object", "organization");
        object.text("id", &id);
        object.text(
            "name",
            &format!("{} {}", pick(random, COMPANY_NAMES), pick(random, COMPANY_KINDS)),
        );
        object.text("slug", &slug);
        object.text("image_url", &super::user::image_url(&id));
        object.flag("has_image", one_in(random, 2));
        object.number("max_allowed_memberships", [5, 5, 100, 0][random.usize(0..4)]);
        object.flag("admin_delete_enabled", !one_in(random, 5));
        object.object("public_metadata", |object| {
            object.text("plan", pick(random, &["free", "pro", "enterprise"]));
        });
        if !one_in(random, 3) {
            object.object("private_metadata", |object| object.text("contract", "signed"));
        }
        // Organizations created through the Backend API have no creator.
        if !one_in(random, 4) {
            object.text("created_by", &identifier(random, "user_"));
        }
        object.number("created_at", created_at);
        object.number("updated_at", updated_at.min(style.now.max(created_at)));
        if !one_in(random, 4) {
            let active_at =
                created_at + ((style.now - created_at).max(0) as f64 * random.f64()) as i64;
            object.number("last_active_at", active_at);
        }
        match random.u32(0..4) {
            0 => object.null("role_set_key"),
            _ => object.text("role_set_key", "role_set:default"),
        }
    });
}
