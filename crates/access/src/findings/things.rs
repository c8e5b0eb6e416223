//! The rules about things: invitations, keys, templates, URLs, connections, roles and permissions.

use std::borrow::Cow;

use clerk_snapshot::resource::Dataset;
use clerk_snapshot::timestamp::Timestamp;
use serde::Deserialize;
use url::{Host, Url};

use super::grants::Grants;
use super::people::is_as_old;
use crate::rules::{Rule, Settings};

/// The datasets of things, with the rules about each and the type that findings name.
pub const RULES: [(Dataset, &[Rule], &str); 8] = [
    (Dataset::OrganizationRoles, &[Rule::RoleNobodyHolds], "organization_role"),
    (Dataset::OrganizationPermissions, &[Rule::PermissionNobodyHas], "organization_permission"),
    (Dataset::OrganizationInvitations, &[Rule::InvitationPendingLong], "organization_invitation"),
    (Dataset::Invitations, &[Rule::InvitationPendingLong], "invitation"),
    (Dataset::ApiKeys, &[Rule::ApiKeyNeverExpires, Rule::ApiKeyUnused], "api_key"),
    (Dataset::JwtTemplates, &[Rule::SessionTemplateLongLived], "jwt_template"),
    (Dataset::RedirectUrls, &[Rule::RedirectUrlInsecure], "redirect_url"),
    (Dataset::EnterpriseConnections, &[Rule::ConnectionInactive], "enterprise_connection"),
];

/// What rules want of a thing's record.
#[derive(Debug, Deserialize)]
pub struct ThingLine<'a> {
    /// The id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The name to display.
    #[serde(borrow)]
    pub display_name: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    created_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    profile: ThingProfile<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ThingProfile<'a> {
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    expiration: Option<Cow<'a, str>>,
    #[serde(borrow)]
    last_used_at: Option<Cow<'a, str>>,
    lifetime: Option<i64>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    active: Option<bool>,
}

/// What the detail of a finding about a thing says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Nothing but what the rule says.
    Nothing,
    /// A time: when it was created or last used.
    Since(Timestamp),
    /// When it was created; it was never used.
    Never(Timestamp),
    /// A time span in seconds.
    Seconds(u64),
}

impl<'a> ThingLine<'a> {
    /// The thing of a line; `None` if it is none.
    #[must_use]
    pub fn of_line(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// What a rule says about the thing; `None` if nothing.
    #[must_use]
    pub fn fires(
        &self,
        rule: Rule,
        settings: &Settings,
        completed_at: Timestamp,
        grants: &Grants,
    ) -> Option<Said> {
        let numbers = settings.rule(rule).numbers;
        let is_old = |time: Timestamp| is_as_old(time, numbers.days, completed_at);
        let profile = &self.profile;
        match rule {
            Rule::RoleNobodyHolds => (!grants.roles.contains(&*self.id)).then_some(Said::Nothing),
            Rule::PermissionNobodyHas => {
                let key = profile.key.as_deref()?;
                (!grants.permissions.contains(key)).then_some(Said::Nothing)
            }
            Rule::InvitationPendingLong => {
                let is_pending = profile.status.as_deref() == Some("pending");
                let since = time(&self.created_at).filter(|_| is_pending)?;
                is_old(since).then_some(Said::Since(since))
            }
            Rule::ApiKeyNeverExpires => {
                (self.is_enabled() && profile.expiration.is_none()).then_some(Said::Nothing)
            }
            Rule::ApiKeyUnused if self.is_enabled() => match time(&profile.last_used_at) {
                Some(used) => is_old(used).then_some(Said::Since(used)),
                None => {
                    let created =
                        time(&self.created_at).filter(|_| profile.last_used_at.is_none())?;
                    is_old(created).then_some(Said::Never(created))
                }
            },
            Rule::SessionTemplateLongLived => {
                let seconds = profile.lifetime.and_then(|seconds| u64::try_from(seconds).ok())?;
                (seconds > numbers.more_than_seconds).then_some(Said::Seconds(seconds))
            }
            Rule::RedirectUrlInsecure => {
                is_insecure(profile.url.as_deref()?).then_some(Said::Nothing)
            }
            Rule::ConnectionInactive => (profile.active == Some(false)).then_some(Said::Nothing),
            _ => None,
        }
    }

    fn is_enabled(&self) -> bool {
        self.status == "enabled"
    }
}

fn time(text: &Option<Cow<'_, str>>) -> Option<Timestamp> {
    text.as_deref().and_then(|text| text.parse().ok())
}

/// Whether a URL is http to a host that is not this machine itself.
fn is_insecure(text: &str) -> bool {
    let text = text.trim();
    // In a pattern the port may be `*`, which no URL has.
    let parsed = Url::parse(text).or_else(|_| Url::parse(&text.replace(":*", "")));
    let Ok(url) = parsed else { return text.to_ascii_lowercase().starts_with("http:") };
    url.scheme() == "http"
        && match url.host() {
            // RFC 6761: localhost and the names below it are loopback.
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name != "localhost" && !name.ends_with(".localhost")
            }
            Some(Host::Ipv4(address)) => !address.is_loopback(),
            Some(Host::Ipv6(address)) => !address.to_canonical().is_loopback(),
            None => true,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: http is insecure except to the machine itself, however it is written.
    #[test]
    fn only_http_to_another_machine_is_insecure() {
        for url in [
            "http://example.com/callback",
            "HTTP://EXAMPLE.com",
            "http://localhost.example.com",
            "http://notlocalhost",
            "http://10.0.0.1:3000",
            "http://[::2]/",
            "http://*.example.com/*",
            "http://example.com:*/",
            " http://example.com",
            "http://0.0.0.0",
        ] {
            assert!(is_insecure(url), "{url}");
        }
        for url in [
            "https://example.com",
            "http://localhost:3000/callback",
            "http://LOCALHOST",
            "http://localhost.",
            "http://app.localhost",
            "http://127.0.0.1:8080",
            "http://127.1.2.3",
            "http://[::1]:8080",
            "http://[::ffff:127.0.0.1]",
            "http://localhost:*/callback",
            "myapp://callback",
            "com.example.app:/oauth",
            "",
        ] {
            assert!(!is_insecure(url), "{url}");
        }
    }
}
