//! What each user's record says to the rules, in a few bytes a user.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU8, Ordering};

use clerk_snapshot::timestamp::Timestamp;
use hashbrown::DefaultHashBuilder;
use serde::Deserialize;

use super::domains::{Domains, NO_DOMAIN};
use crate::rules::{Rule, Settings};
use crate::texts::hash_of;

/// What a user's record says.
pub mod says {
    /// There is no second factor.
    pub const NO_SECOND_FACTOR: u8 = 1;
    /// Not active for as long as `privileged-and-dormant` asks.
    pub const DORMANT_IF_PRIVILEGED: u8 = 2;
    /// Not active for as long as `dormant-with-access` asks.
    pub const DORMANT: u8 = 4;
    /// Banned, locked or deprovisioned.
    pub const DISABLED: u8 = 8;
    /// The primary address is not verified.
    pub const UNVERIFIED: u8 = 16;
    /// There is a primary address.
    pub const ADDRESS: u8 = 32;
}

/// What a user's grants give.
pub mod holds {
    /// A membership.
    pub const MEMBERSHIP: u8 = 1;
    /// A privileged permission.
    pub const PRIVILEGE: u8 = 2;
    /// A membership of an organization that has verified domains, none of which is the address's.
    pub const OUTSIDE: u8 = 4;
}

/// The rules about people: each fires if the record says the one and the grants give the other.
pub const RULES: [(Rule, u8, u8); 6] = [
    (Rule::PrivilegedWithoutSecondFactor, says::NO_SECOND_FACTOR, holds::PRIVILEGE),
    (Rule::PrivilegedAndDormant, says::DORMANT_IF_PRIVILEGED, holds::PRIVILEGE),
    (Rule::DormantWithAccess, says::DORMANT, holds::MEMBERSHIP),
    (Rule::DisabledWithAccess, says::DISABLED, holds::MEMBERSHIP),
    (Rule::OutsideDomainWithAccess, says::ADDRESS, holds::OUTSIDE),
    (Rule::UnverifiedAddressWithAccess, says::UNVERIFIED, holds::MEMBERSHIP),
];

/// A user, as far as rules go.
#[derive(Debug)]
pub struct Person {
    /// Of the id. Two ids of one hash are told apart before a finding is written.
    hash: u64,
    /// Number of the primary address's domain.
    pub domain: u32,
    /// Bits of [`says`].
    pub says: u8,
    /// Bits of [`holds`]. Parts of the grants are read side by side, and in any order they add up to the same.
    holds: AtomicU8,
}

/// All users about whom a rule may have something to say.
#[derive(Debug, Default)]
pub struct People {
    /// By hash.
    people: Vec<Person>,
    hasher: DefaultHashBuilder,
}

/// What rules want of a user's record.
#[derive(Debug, Deserialize)]
pub struct UserLine<'a> {
    /// The id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    created_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    profile: UserProfile<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct UserProfile<'a> {
    #[serde(borrow)]
    primary_email: Option<Cow<'a, str>>,
    primary_email_verified: Option<bool>,
    #[serde(borrow)]
    last_sign_in_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    last_active_at: Option<Cow<'a, str>>,
    two_factor_enabled: Option<bool>,
}

/// When a user was last active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// At this time.
    At(Timestamp),
    /// Never since it was created at this time.
    NeverSince(Timestamp),
}

impl Activity {
    /// The time.
    #[must_use]
    pub const fn time(self) -> Timestamp {
        match self {
            Self::At(time) | Self::NeverSince(time) => time,
        }
    }
}

impl<'a> UserLine<'a> {
    /// The user of a line; `None` if it is not a user.
    #[must_use]
    pub fn of_line(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// When the user was last active or signed in, whichever is later; `None` if nothing is known.
    #[must_use]
    pub fn activity(&self) -> Option<Activity> {
        let time = |text: &Option<Cow<'a, str>>| text.as_deref().and_then(|text| text.parse().ok());
        let latest = time(&self.profile.last_active_at).max(time(&self.profile.last_sign_in_at));
        latest.map(Activity::At).or_else(|| time(&self.created_at).map(Activity::NeverSince))
    }

    /// What the record says, as bits of [`says`]. What Clerk did not state says nothing.
    fn says(&self, settings: &Settings, completed_at: Timestamp) -> u8 {
        let profile = &self.profile;
        let dormant = |rule: Rule| {
            let days = settings.rule(rule).numbers.days;
            self.activity().is_some_and(|it| is_as_old(it.time(), days, completed_at))
        };
        let mut says = 0;
        let mut set = |bit: u8, is_set: bool| says |= if is_set { bit } else { 0 };
        set(says::NO_SECOND_FACTOR, profile.two_factor_enabled == Some(false));
        set(says::DORMANT_IF_PRIVILEGED, dormant(Rule::PrivilegedAndDormant));
        set(says::DORMANT, dormant(Rule::DormantWithAccess));
        set(says::DISABLED, self.status == "disabled");
        let has_address = profile.primary_email.is_some();
        set(says::UNVERIFIED, has_address && profile.primary_email_verified == Some(false));
        set(says::ADDRESS, profile.primary_email.as_deref().and_then(domain_of).is_some());
        says
    }
}

/// Whether a time lies at least so many days before the end of the snapshot.
#[must_use]
pub fn is_as_old(time: Timestamp, days: u64, completed_at: Timestamp) -> bool {
    const SECONDS_OF_DAY: u64 = 86_400;
    let age = std::time::Duration::from_secs(days.saturating_mul(SECONDS_OF_DAY));
    time <= completed_at && completed_at.saturating_duration_since(time) >= age
}

/// What follows the last `@` of an address; `None` of a hash.
#[must_use]
pub fn domain_of(address: &str) -> Option<&str> {
    address.rsplit_once('@').map(|(_, domain)| domain).filter(|domain| !domain.is_empty())
}

impl Person {
    /// Whether a rule that wants these bits of [`says`] and [`holds`] fires.
    #[must_use]
    pub fn fires(&self, says: u8, holds: u8) -> bool {
        self.says & says != 0 && self.holds.load(Ordering::Relaxed) & holds != 0
    }
}

impl People {
    /// Room for so many users.
    #[must_use]
    pub fn with_room_for(users: u64) -> Self {
        // A forged manifest may state any number; a million users are no more than a beginning.
        let room = usize::try_from(users).unwrap_or(usize::MAX).min(1 << 20);
        Self { people: Vec::with_capacity(room), hasher: DefaultHashBuilder::default() }
    }

    /// What makes the hashes, for the threads that read parts.
    #[must_use]
    pub fn hasher(&self) -> DefaultHashBuilder {
        self.hasher.clone()
    }

    /// A user of whom a rule may have something to say; `None` if none has.
    #[must_use]
    pub fn person(
        user: &UserLine<'_>,
        settings: &Settings,
        completed_at: Timestamp,
        domains: &Domains,
        hasher: &DefaultHashBuilder,
    ) -> Option<Person> {
        let mut says = user.says(settings, completed_at);
        if domains.is_empty() {
            says &= !says::ADDRESS;
        }
        let domain = user.profile.primary_email.as_deref().and_then(domain_of);
        let domain = domain.map_or(NO_DOMAIN, |domain| domains.number(domain));
        (says != 0).then(|| Person {
            hash: hash_of(hasher, &user.id),
            domain,
            says,
            holds: AtomicU8::new(0),
        })
    }

    /// Adds the users of a part.
    pub fn add(&mut self, part: Vec<Person>) {
        self.people.extend(part);
    }

    /// Makes the users findable. Nothing is added after it.
    pub fn sort(&mut self) {
        self.people.sort_unstable_by_key(|person| person.hash);
    }

    /// The number of a user; `None` if no rule has anything to say.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<u32> {
        let hash = hash_of(&self.hasher, id);
        let found = self.people.binary_search_by_key(&hash, |person| person.hash).ok()?;
        u32::try_from(found).ok()
    }

    /// The user with a number.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&Person> {
        self.people.get(number as usize)
    }

    /// Adds to what a user's grants give.
    pub fn add_holds(&self, number: u32, holds: u8) {
        if let Some(person) = self.get(number) {
            person.holds.fetch_or(holds, Ordering::Relaxed);
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.people.is_empty()
    }
}
