//! Suggests the name that a mistyped one was meant to be.

use strsim::jaro_winkler;

use crate::quoted::{Quoted, looks_like_a_key};

/// Most bytes of a name that is compared; longer ones are no typing mistakes.
const LONGEST: usize = 64;

/// How alike two names must be, from 0 (nothing in common) to 1 (equal). `userz` and `users` have 0.92; `teams` has
/// less than 0.7 with every resource.
const ALIKE: f64 = 0.85;

/// An item of a list that is none of the `known` names, in quotes, and after it what it was probably meant to be:
/// `"userz" (did you mean users?)`.
#[must_use]
pub fn quoted_with_suggestion<'a>(
    text: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> String {
    let is_known = |part: &str| known.clone().any(|name| name == part);
    let mut parts =
        text.split([' ', ';', '|', '+', '/']).filter(|part| !part.is_empty()).peekable();
    if parts.peek().is_some() && parts.all(is_known) {
        return format!("{} (separate the names by commas)", Quoted(text));
    }
    match nearest(text, known) {
        Some(name) => format!("{} (did you mean {name}?)", Quoted(text)),
        None => Quoted(text).to_string(),
    }
}

/// The known name that `text` was probably meant to be, if one is near.
#[must_use]
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.is_empty() || text.len() > LONGEST || looks_like_a_key(text) {
        return None;
    }
    let meant = in_the_usual_form(text);
    let best = known.into_iter().map(|name| (likeness(&meant, name), name));
    let (likeness, name) = best.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (likeness >= ALIKE).then_some(name)
}

/// Lower case with underscores, and `organization` where people write `org`.
fn in_the_usual_form(text: &str) -> String {
    let text = text.to_lowercase().replace(['-', ' '], "_");
    match text.strip_prefix("org") {
        Some(rest) if ["", "s"].contains(&rest) || rest.starts_with('_') => {
            format!("organization{rest}")
        }
        _ => text,
    }
}

/// The likeness of two names. The end of a known name, such as `roles` or `role` of `organization_roles`, is almost
/// that name.
fn likeness(text: &str, known: &str) -> f64 {
    let rest = known.strip_suffix(text).or_else(|| known.strip_suffix('s')?.strip_suffix(text));
    let is_its_end = rest.is_some_and(|rest| rest.ends_with('_'));
    if is_its_end { 0.94 } else { jaro_winkler(text, known) }
}

#[cfg(test)]
mod tests {
    use clerk_snapshot::resource::Resource;

    use super::*;

    fn meant(text: &str) -> Option<&'static str> {
        nearest(text, Resource::ALL.iter().map(|resource| resource.name()))
    }

    #[test]
    fn a_mistyped_resource_is_recognised() {
        for (text, name) in [
            ("userz", "users"),
            ("Users", "users"),
            ("user", "users"),
            ("orgs", "organizations"),
            ("organisations", "organizations"),
            ("organization-roles", "organization_roles"),
            ("org_memberships", "organization_memberships"),
            ("roles", "organization_roles"),
            ("memberships", "organization_memberships"),
            ("permission", "organization_permissions"),
            ("invitation", "invitations"),
        ] {
            assert_eq!(meant(text), Some(name), "{text}");
        }
    }

    #[test]
    fn something_else_gets_no_suggestion() {
        for text in ["", "*", "all", "teams", "ada@example.com", &"users".repeat(20)] {
            assert_eq!(meant(text), None, "{text}");
        }
        let key = format!("sk_{}_users", "live");
        let quoted = |text: &str| quoted_with_suggestion(text, ["gzip", "zstd"].into_iter());
        assert_eq!(quoted(&key), Quoted(&key).to_string());
        assert_eq!(quoted("gzpi"), "\"gzpi\" (did you mean gzip?)");
        assert_eq!(quoted("gzip; zstd"), "\"gzip; zstd\" (separate the names by commas)");
    }
}
