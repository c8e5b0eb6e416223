//! The log level.

use tracing::level_filters::LevelFilter;

use super::environment::{Environment, LAMBDA_LOG_LEVEL};
use super::parse::SETTING_LOG_LEVEL;

/// The least severe level that is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Failures only.
    Error,
    /// And what a person should look into.
    Warn,
    /// And what was done.
    #[default]
    Info,
    /// And each decision along the way.
    Debug,
    /// And each request. Never bodies, headers or personal data.
    Trace,
}

impl LogLevel {
    /// The level in `environment`, or the default if it is invalid. Used for lines that are logged
    /// before the settings are checked, which reports the mistake.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        let level = |name| {
            environment
                .value(name)
                .ok()
                .flatten()
                .map(|text| Self::from_name(text).unwrap_or_default())
        };
        level(SETTING_LOG_LEVEL).or_else(|| level(LAMBDA_LOG_LEVEL)).unwrap_or_default()
    }

    /// The level with this name, in any case. Lambda also has `FATAL`, which is `Error` here.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "error" | "fatal" => Some(Self::Error),
            "warn" => Some(Self::Warn),
            "info" => Some(Self::Info),
            "debug" => Some(Self::Debug),
            "trace" => Some(Self::Trace),
            _ => None,
        }
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_before_the_settings_are_checked() {
        let of = |pairs: &[(&str, &str)]| LogLevel::of(&Environment::from_pairs(pairs.to_vec()));
        assert_eq!(of(&[]), LogLevel::Info);
        assert_eq!(of(&[("LOG_LEVEL", "Debug")]), LogLevel::Debug);
        assert_eq!(of(&[("LOG_LEVEL", "loud")]), LogLevel::Info);
        assert_eq!(of(&[("AWS_LAMBDA_LOG_LEVEL", "FATAL")]), LogLevel::Error);
        assert_eq!(
            of(&[("LOG_LEVEL", "trace"), ("AWS_LAMBDA_LOG_LEVEL", "WARN")]),
            LogLevel::Trace
        );
    }
}
