//! The environment variables that this program reads, copied once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use super::SETTINGS;

/// Set by AWS Lambda to the host and port of the runtime API. If it is set, the program runs as a
/// Lambda function (docs/reference.md).
const LAMBDA_RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
/// Set by AWS Lambda to the log level of the function's logging configuration.
pub(super) const LAMBDA_LOG_LEVEL: &str = "AWS_LAMBDA_LOG_LEVEL";

/// Endpoints that replace those of AWS, for all services, for S3, for Secrets Manager and for KMS. The
/// SDK reads them.
pub(super) const AWS_ENDPOINT_URL: &str = "AWS_ENDPOINT_URL";
pub(super) const AWS_ENDPOINT_URL_S3: &str = "AWS_ENDPOINT_URL_S3";
pub(super) const AWS_ENDPOINT_URL_SECRETS_MANAGER: &str = "AWS_ENDPOINT_URL_SECRETS_MANAGER";
pub(super) const AWS_ENDPOINT_URL_KMS: &str = "AWS_ENDPOINT_URL_KMS";

/// Variables that are read but are not settings of this program.
const OTHERS: [&str; 6] = [
    LAMBDA_RUNTIME_API,
    LAMBDA_LOG_LEVEL,
    AWS_ENDPOINT_URL,
    AWS_ENDPOINT_URL_S3,
    AWS_ENDPOINT_URL_SECRETS_MANAGER,
    AWS_ENDPOINT_URL_KMS,
];

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As an AWS Lambda function.
    Lambda,
    /// As a plain program.
    Program,
}

/// A copy of the environment variables that this program reads, so that tests need not change those
/// of the process. Other variables are not copied, and `Debug` shows names without values.
///
/// A variable that is empty, or white space only, counts as not set: deployment templates pass an
/// empty string for a parameter without a value.
#[derive(Clone)]
pub struct Environment(BTreeMap<&'static str, Value>);

#[derive(Clone)]
enum Value {
    Text(String),
    NotUtf8,
}

/// The value of a variable is not UTF-8.
pub(super) struct NotUtf8;

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::from_pairs(std::env::vars_os())
    }

    /// An environment of these names and values. If a name occurs twice, the last value counts.
    #[must_use]
    pub fn from_pairs<Name, Text>(pairs: impl IntoIterator<Item = (Name, Text)>) -> Self
    where
        Name: Into<OsString>,
        Text: Into<OsString>,
    {
        let mut values = BTreeMap::new();
        for (name, value) in pairs {
            let name = name.into();
            let Some(name) = names_read().find(|read| name == *read) else {
                continue;
            };
            let value = match value.into().into_string() {
                Ok(text) => Value::Text(text.trim().to_owned()),
                Err(_) => Value::NotUtf8,
            };
            values.insert(name, value);
        }
        Self(values)
    }

    /// The same environment with another value of one variable that this program reads.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if let Some(name) = names_read().find(|read| name == *read) {
            self.0.insert(name, Value::Text(value.trim().to_owned()));
        }
        self
    }

    /// Where the program runs.
    #[must_use]
    pub fn place(&self) -> Place {
        match self.value(LAMBDA_RUNTIME_API) {
            Ok(None) => Place::Program,
            _ => Place::Lambda,
        }
    }

    /// The value of a variable, without white space around it; `None` if it is not set or empty.
    pub(super) fn value(&self, name: &str) -> Result<Option<&str>, NotUtf8> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(Value::NotUtf8) => Err(NotUtf8),
        }
    }
}

fn names_read() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.name).chain(OTHERS)
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // docs/reference.md: the presence of the variable decides.
    #[test]
    fn the_runtime_api_makes_it_a_lambda_function() {
        let program = Environment::from_pairs([("PATH", "/bin")]);
        assert_eq!(program.place(), Place::Program);
        let lambda = Environment::from_pairs([(LAMBDA_RUNTIME_API, "127.0.0.1:9001")]);
        assert_eq!(lambda.place(), Place::Lambda);
    }

    // Promise 7.
    #[test]
    fn debug_shows_no_values_and_no_other_names() {
        let environment = Environment::from_pairs([
            ("CLERK_SECRET_KEY", "the-key"),
            ("DATABASE_PASSWORD", "the-password"),
        ]);
        assert_eq!(format!("{environment:?}"), r#"{"CLERK_SECRET_KEY"}"#);
    }

    #[test]
    fn values_are_trimmed_and_empty_ones_count_as_unset() {
        let environment = Environment::from_pairs([
            ("RESOURCES", " users \n"),
            ("METADATA", ""),
            ("CLERK_SECRET_ID", " \t"),
        ]);
        let value = |name| environment.value(name).ok().flatten();
        assert_eq!(value("RESOURCES"), Some("users"));
        assert_eq!(value("METADATA"), None);
        assert_eq!(value("CLERK_SECRET_ID"), None);
        assert_eq!(value("SNAPSHOT_URL"), None);
    }

    #[test]
    fn a_value_can_be_replaced_even_one_that_is_not_utf8() {
        use std::os::unix::ffi::OsStringExt;
        let wrong = OsString::from_vec(vec![0xff]);
        let environment = Environment::from_pairs([(OsString::from("RESOURCES"), wrong)])
            .with("RESOURCES", "users")
            .with("SOMETHING_ELSE", "x");
        assert_eq!(environment.value("RESOURCES").ok().flatten(), Some("users"));
        assert_eq!(format!("{environment:?}"), r#"{"RESOURCES"}"#);
    }

    #[cfg(unix)]
    #[test]
    fn only_variables_of_this_program_must_be_utf8() {
        use std::os::unix::ffi::OsStringExt;
        let bytes = || OsString::from_vec(vec![0xff, 0xfe]);
        let environment = Environment::from_pairs([
            (OsString::from("RESOURCES"), bytes()),
            (OsString::from("SOMETHING_ELSE"), bytes()),
        ]);
        assert!(environment.value("RESOURCES").is_err());
        assert!(matches!(environment.value("SOMETHING_ELSE"), Ok(None)));
    }
}
