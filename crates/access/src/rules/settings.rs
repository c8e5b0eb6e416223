//! What can be set about the rules.

use super::{Rule, Severity};

/// The permissions that make a person privileged whatever the rules file says.
pub const PRIVILEGED: [&str; 2] = ["org:sys_memberships:manage", "org:sys_profile:delete"];

/// What can be set about the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Further permissions that make a person privileged.
    pub privileged_permissions: Vec<String>,
    /// By the rule's place in [`Rule::ALL`].
    rules: [RuleSettings; Rule::ALL.len()],
}

/// What can be set about one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleSettings {
    /// Whether the rule is looked at.
    pub is_enabled: bool,
    /// The severity of its findings.
    pub severity: Severity,
    /// Its numbers; those that a rule has not got are 0.
    pub numbers: Numbers,
}

/// The numbers of a rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// An age in days.
    pub days: u64,
    /// A count that must be exceeded.
    pub more_than: u64,
    /// A share in percent that must be exceeded.
    pub more_than_percent: u64,
    /// A time in seconds that must be exceeded.
    pub more_than_seconds: u64,
}

/// A number that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// [`Numbers::days`].
    Days,
    /// [`Numbers::more_than`].
    MoreThan,
    /// [`Numbers::more_than_percent`].
    MoreThanPercent,
    /// [`Numbers::more_than_seconds`].
    MoreThanSeconds,
}

impl Number {
    /// All.
    pub const ALL: [Self; 4] =
        [Self::Days, Self::MoreThan, Self::MoreThanPercent, Self::MoreThanSeconds];

    /// The key in the rules file.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Days => "days",
            Self::MoreThan => "more_than",
            Self::MoreThanPercent => "more_than_percent",
            Self::MoreThanSeconds => "more_than_seconds",
        }
    }

    /// The largest value: longer ages leave the years that times have.
    #[must_use]
    pub const fn most(self) -> u64 {
        match self {
            Self::Days => 1_000_000,
            Self::MoreThanPercent => 100,
            Self::MoreThan | Self::MoreThanSeconds => u32::MAX as u64,
        }
    }
}

impl Numbers {
    /// Sets one of them.
    pub const fn set(&mut self, number: Number, value: u64) {
        match number {
            Number::Days => self.days = value,
            Number::MoreThan => self.more_than = value,
            Number::MoreThanPercent => self.more_than_percent = value,
            Number::MoreThanSeconds => self.more_than_seconds = value,
        }
    }
}

impl Rule {
    /// The numbers that the rule has.
    #[must_use]
    pub const fn numbers(self) -> &'static [Number] {
        match self {
            Self::PrivilegedAndDormant
            | Self::DormantWithAccess
            | Self::InvitationPendingLong
            | Self::ApiKeyUnused => &[Number::Days],
            Self::TooManyAdministrators => &[Number::MoreThan, Number::MoreThanPercent],
            Self::SessionTemplateLongLived => &[Number::MoreThanSeconds],
            _ => &[],
        }
    }
}

impl Settings {
    /// Every rule on, with severity low and all numbers 0: what a file is read into.
    pub(super) const fn blank() -> Self {
        let numbers = Numbers { days: 0, more_than: 0, more_than_percent: 0, more_than_seconds: 0 };
        let rule = RuleSettings { is_enabled: true, severity: Severity::Low, numbers };
        Self { privileged_permissions: Vec::new(), rules: [rule; Rule::ALL.len()] }
    }

    /// What is set about a rule.
    #[must_use]
    pub const fn rule(&self, rule: Rule) -> &RuleSettings {
        &self.rules[rule as usize]
    }

    /// The same, to change it.
    pub const fn rule_mut(&mut self, rule: Rule) -> &mut RuleSettings {
        &mut self.rules[rule as usize]
    }

    /// Turns all rules off but these.
    pub fn keep_only(&mut self, rules: &[Rule]) {
        for rule in Rule::ALL {
            self.rule_mut(rule).is_enabled = rules.contains(&rule);
        }
    }

    /// The permissions that make a person privileged.
    pub fn privileged(&self) -> impl Iterator<Item = &str> {
        PRIVILEGED.into_iter().chain(self.privileged_permissions.iter().map(String::as_str))
    }

    /// The rules that are looked at, in the order of their findings: by severity, then as [`Rule::ALL`] has them.
    #[must_use]
    pub fn ranked(&self) -> Vec<Rule> {
        let mut rules: Vec<Rule> =
            Rule::ALL.into_iter().filter(|&rule| self.rule(rule).is_enabled).collect();
        rules.sort_by_key(|&rule| (self.rule(rule).severity, rule));
        rules
    }
}
