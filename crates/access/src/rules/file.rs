//! Reads the rules file.

use std::fmt;
use std::path::Path;

use clerk_store::quoted::Quoted;
use serde_json::{Map, Value};

use super::settings::Settings;
use super::{Rule, Severity};

/// The rules file that holds without one, with comments.
pub const DEFAULTS: &str = include_str!("defaults.yaml");

/// What a rules file cannot say. Each text begins after the name of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// It is not what its name says.
    #[error("is not {0}: {1}; `clerk-access findings --print-rules` prints one to start from")]
    NotReadable(Language, String),
    /// A key that there is not.
    #[error("has the unknown key {} in {place}; it may have {accepted}", Quoted(.key))]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it stands.
        place: String,
        /// The keys that there are.
        accepted: String,
    },
    /// A rule that there is not.
    #[error("has the unknown rule {}; the rules are {}", Quoted(.0), Rule::names())]
    UnknownRule(String),
    /// A value that is not accepted.
    #[error("has a wrong value of {place}; it must be {accepted}")]
    Value {
        /// The key.
        place: String,
        /// What is accepted.
        accepted: String,
    },
}

/// A language that rules files are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// YAML.
    Yaml,
    /// TOML.
    Toml,
}

impl Language {
    /// TOML if the file's name ends so, else YAML.
    #[must_use]
    pub fn of_file(path: &Path) -> Self {
        let is_toml = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("toml"));
        if is_toml { Self::Toml } else { Self::Yaml }
    }

    /// The value that a file says; `None` if it says nothing.
    fn parse(self, text: &str) -> Result<Option<Value>, RulesError> {
        let parsed = match self {
            Self::Yaml => serde_saphyr::from_str(text).map_err(|error| error.to_string()),
            Self::Toml => {
                toml::from_str(text).map(Some).map_err(|error| error.message().to_owned())
            }
        };
        // The first line says what is wrong; those below show the file.
        parsed.map_err(|error: String| {
            let first = error.lines().next().unwrap_or_default().trim().to_owned();
            RulesError::NotReadable(self, first)
        })
    }
}

impl fmt::Display for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Yaml => "YAML",
            Self::Toml => "TOML",
        })
    }
}

impl Settings {
    /// The values that hold without a rules file.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test reads the file that is part of the program")]
    pub fn defaults() -> Self {
        let mut settings = Self::blank();
        settings.read(DEFAULTS, Language::Yaml).expect("the defaults are a rules file");
        settings
    }

    /// The values of a rules file; the defaults for what it leaves out.
    ///
    /// # Errors
    /// [`RulesError`].
    pub fn parse(text: &str, language: Language) -> Result<Self, RulesError> {
        let mut settings = Self::defaults();
        settings.read(text, language)?;
        Ok(settings)
    }

    fn read(&mut self, text: &str, language: Language) -> Result<(), RulesError> {
        let Some(value) = language.parse(text)? else { return Ok(()) };
        for (key, value) in object(&value, "the file")? {
            match key.as_str() {
                "privileged_permissions" => self.privileged_permissions = permissions(value)?,
                "rules" => self.read_rules(value)?,
                _ => return Err(unknown(key, "the file", "privileged_permissions, rules")),
            }
        }
        Ok(())
    }

    fn read_rules(&mut self, value: &Value) -> Result<(), RulesError> {
        for (name, value) in object(value, "rules")? {
            let rule =
                Rule::from_name(name).ok_or_else(|| RulesError::UnknownRule(name.clone()))?;
            for (key, value) in object(value, name)? {
                self.read_key(rule, key, value)?;
            }
        }
        Ok(())
    }

    fn read_key(&mut self, rule: Rule, key: &str, value: &Value) -> Result<(), RulesError> {
        let wrong =
            |accepted: String| RulesError::Value { place: format!("{rule}: {key}"), accepted };
        let settings = self.rule_mut(rule);
        match key {
            "enabled" => {
                settings.is_enabled =
                    value.as_bool().ok_or_else(|| wrong("true or false".to_owned()))?;
            }
            "severity" => {
                let named = Severity::ALL.into_iter().find(|it| Some(it.name()) == value.as_str());
                settings.severity = named.ok_or_else(|| wrong("high, medium or low".to_owned()))?;
            }
            _ => {
                let number = rule.numbers().iter().find(|number| number.key() == key);
                let &number = number.ok_or_else(|| {
                    let numbers = rule.numbers().iter().map(|number| number.key());
                    let keys: Vec<_> = ["enabled", "severity"].into_iter().chain(numbers).collect();
                    unknown(key, rule.name(), &keys.join(", "))
                })?;
                let value = value.as_u64().filter(|&value| value <= number.most());
                let accepted = || format!("a whole number from 0 to {}", number.most());
                settings.numbers.set(number, value.ok_or_else(|| wrong(accepted()))?);
            }
        }
        Ok(())
    }
}

/// The fields of an object; none of nothing, so that a key whose lines are all commented out is accepted.
fn object<'a>(
    value: &'a Value,
    place: &str,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, RulesError> {
    let fields: Option<&Map<String, Value>> = match value {
        Value::Null => None,
        Value::Object(fields) => Some(fields),
        _ => {
            return Err(RulesError::Value {
                place: place.to_owned(),
                accepted: "a mapping of keys to values".to_owned(),
            });
        }
    };
    Ok(fields.into_iter().flatten())
}

fn permissions(value: &Value) -> Result<Vec<String>, RulesError> {
    let wrong = || RulesError::Value {
        place: "privileged_permissions".to_owned(),
        accepted: "a list of permission keys, such as [org:billing:manage]".to_owned(),
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(keys) => {
            keys.iter().map(|key| key.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        _ => Err(wrong()),
    }
}

fn unknown(key: &str, place: &str, accepted: &str) -> RulesError {
    RulesError::UnknownKey {
        key: key.to_owned(),
        place: place.to_owned(),
        accepted: accepted.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::settings::Numbers;
    use super::*;

    // Promise: the printed file gives the defaults, names every rule, and sets every number of each.
    #[test]
    fn the_printed_file_gives_the_defaults() {
        assert_eq!(Settings::parse(DEFAULTS, Language::Yaml).unwrap(), Settings::defaults());
        let value: Value = serde_saphyr::from_str(DEFAULTS).unwrap();
        for rule in Rule::ALL {
            let keys: Vec<_> = value["rules"][rule.name()].as_object().unwrap().keys().collect();
            let numbers = rule.numbers().iter().map(|number| number.key());
            let expected: Vec<_> = ["enabled", "severity"].into_iter().chain(numbers).collect();
            assert_eq!(keys, expected, "{rule}");
        }
        let numbers = |rule: Rule| Settings::defaults().rule(rule).numbers;
        assert_eq!(numbers(Rule::PrivilegedAndDormant).days, 90);
        assert_eq!(numbers(Rule::DormantWithAccess).days, 180);
        let administrators = numbers(Rule::TooManyAdministrators);
        assert_eq!((administrators.more_than, administrators.more_than_percent), (5, 20));
        assert_eq!(numbers(Rule::InvitationPendingLong).days, 30);
        assert_eq!(numbers(Rule::ApiKeyUnused).days, 90);
        assert_eq!(numbers(Rule::SessionTemplateLongLived).more_than_seconds, 86_400);
        assert_eq!(numbers(Rule::ConnectionInactive), Numbers::default());
    }

    #[test]
    fn what_a_file_leaves_out_stays_as_it_is() {
        for empty in ["", "# nothing\n", "rules:\n", "rules:\n  api-key-unused:\n", "{}"] {
            assert_eq!(
                Settings::parse(empty, Language::Yaml).unwrap(),
                Settings::defaults(),
                "{empty}"
            );
        }
        let text = "privileged_permissions: [org:billing:manage]\nrules:\n  \
                    dormant-with-access: {days: 7, severity: high}\n  \
                    connection-inactive: {enabled: false}\n";
        let settings = Settings::parse(text, Language::Yaml).unwrap();
        let mut expected = Settings::defaults();
        expected.privileged_permissions.push("org:billing:manage".to_owned());
        expected.rule_mut(Rule::DormantWithAccess).numbers.days = 7;
        expected.rule_mut(Rule::DormantWithAccess).severity = Severity::High;
        expected.rule_mut(Rule::ConnectionInactive).is_enabled = false;
        assert_eq!(settings, expected);
        let privileged: Vec<_> = settings.privileged().collect();
        let both = ["org:sys_memberships:manage", "org:sys_profile:delete", "org:billing:manage"];
        assert_eq!(privileged, both);
    }

    // Promise: a rules file may be TOML as well, and says the same.
    #[test]
    fn toml_says_the_same_as_yaml() {
        let yaml = "privileged_permissions: [org:billing:manage]\nrules:\n  dormant-with-access: {days: 7}\n";
        let toml = "privileged_permissions = [\"org:billing:manage\"]\n[rules.dormant-with-access]\ndays = 7\n";
        let parsed = Settings::parse(toml, Language::Toml).unwrap();
        assert_eq!(parsed, Settings::parse(yaml, Language::Yaml).unwrap());
        assert_eq!(Settings::parse("", Language::Toml).unwrap(), Settings::defaults());
        let error = Settings::parse("a = [", Language::Toml).unwrap_err().to_string();
        assert!(error.starts_with("is not TOML: "), "{error}");
        assert_eq!(Language::of_file(Path::new("rules.TOML")), Language::Toml);
        assert_eq!(Language::of_file(Path::new("rules")), Language::Yaml);
    }

    // Promise: an unknown rule or key is named, with what is accepted.
    #[test]
    fn what_is_unknown_or_wrong_is_named() {
        for (text, words) in [
            ("rulez: {}", &["\"rulez\"", "privileged_permissions, rules"][..]),
            ("rules: {dormant: {}}", &["\"dormant\"", "dormant-with-access", "api-key-unused"]),
            (
                "rules: {dormant-with-access: {dayz: 3}}",
                &["\"dayz\"", "dormant-with-access", "enabled, severity, days"],
            ),
            (
                "rules: {disabled-with-access: {days: 3}}",
                &["\"days\"", "disabled-with-access", "enabled, severity"],
            ),
            ("rules: {api-key-unused: {days: -1}}", &["api-key-unused: days", "0 to 1000000"]),
            ("rules: {api-key-unused: {days: soon}}", &["api-key-unused: days", "whole number"]),
            (
                "rules: {too-many-administrators: {more_than_percent: 101}}",
                &["more_than_percent", "0 to 100"],
            ),
            ("rules: {api-key-unused: {severity: urgent}}", &["severity", "high, medium or low"]),
            ("rules: {api-key-unused: {enabled: 1}}", &["enabled", "true or false"]),
            ("rules: [api-key-unused]", &["rules", "mapping"]),
            ("privileged_permissions: org:a:b", &["privileged_permissions", "list"]),
            ("rules: {", &["is not YAML", "--print-rules"]),
        ] {
            let message = Settings::parse(text, Language::Yaml).unwrap_err().to_string();
            for word in words {
                assert!(message.contains(word), "{text}: {message}");
            }
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
