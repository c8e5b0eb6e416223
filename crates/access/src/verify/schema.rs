//! Holds JSON against a schema, and says what is wrong without quoting it.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

/// Fields that every version writes. Without them a line is no record.
const ALWAYS_THERE: [&str; 3] = ["kind", "type", "id"];

/// Which version wrote the lines that a schema of this version is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenBy {
    /// This one: lines have exactly the fields of the schema.
    ThisVersion,
    /// Another one, which may have fields that this one has not got, and the other way round (docs/versions.md).
    AnotherVersion,
}

/// A JSON Schema, compiled.
#[derive(Debug)]
pub struct Schema(Validator);

impl Schema {
    /// A schema that is part of the program.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test compiles every schema of the program")]
    pub fn new(text: &str) -> Self {
        let schema: Value = serde_json::from_str(text).expect("a schema is JSON");
        // The patterns of the schemas need no look-around, and this engine takes linear time.
        let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
        Self(options.build(&schema).expect("a schema is a JSON Schema"))
    }

    /// What is wrong with a value: the field, and the rule of the schema that it breaks. Values are not quoted: they are
    /// personal data.
    #[must_use]
    pub fn problem(&self, value: &Value, by: WrittenBy) -> Option<String> {
        if self.0.is_valid(value) {
            return None;
        }
        let counts = |error: &ValidationError<'_>| {
            by == WrittenBy::ThisVersion || !may_be_the_version(error)
        };
        let error = self.0.iter_errors(value).find(counts)?;
        let path = error.instance_path().to_string();
        let field = path.trim_start_matches('/').replace('/', ".");
        let rule = error.schema_path().to_string();
        let keyword = rule.rsplit('/').next().unwrap_or_default();
        Some(if field.is_empty() {
            format!("breaks the schema ({keyword})")
        } else {
            format!("breaks the schema at {field} ({keyword})")
        })
    }
}

/// Whether this is a field that one version writes and another does not.
fn may_be_the_version(error: &ValidationError<'_>) -> bool {
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            !ALWAYS_THERE.iter().any(|always| property == always)
        }
        ValidationErrorKind::AdditionalProperties { .. } => true,
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().any(|alternative| alternative.iter().all(may_be_the_version))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use clerk_snapshot::resource::Dataset;
    use clerk_snapshot::testing::records;

    use super::*;
    use crate::schemas;

    const BY_THIS: WrittenBy = WrittenBy::ThisVersion;

    // Promise: what is wrong is named without what is there.
    #[test]
    fn a_problem_names_the_field_and_no_value() {
        for &dataset in Dataset::ALL {
            let schema = Schema::new(schemas::of(dataset));
            assert!(schema.problem(&Value::Null, BY_THIS).is_some(), "{dataset}");
        }
        let users = Schema::new(schemas::of(Dataset::Users));
        let mut user = records::user("user_1");
        assert_eq!(users.problem(&user, BY_THIS), None);
        user["profile"]["emails"][0]["verified"] = "ada@example.com".into();
        let problem = users.problem(&user, BY_THIS);
        assert_eq!(
            problem.as_deref(),
            Some("breaks the schema at profile.emails.0.verified (type)")
        );
        let grants = Schema::new(schemas::of(Dataset::Grants));
        let grant = records::member_grant("org_1", "user_1", "orgmem_1");
        assert_eq!(grants.problem(&grant, BY_THIS), None);
        assert!(grants.problem(&records::user("user_1"), BY_THIS).is_some());
    }

    // Promise: a field that only another version has is no fault of its lines, and everything else is.
    #[test]
    fn fields_may_differ_by_version() {
        let by_another = WrittenBy::AnotherVersion;
        let mut user = records::user("user_1");
        user["added_later"] = true.into();
        user["profile"].as_object_mut().expect("an object").remove("locale");
        let mut grant = records::member_grant("org_1", "user_1", "orgmem_1");
        grant["added_later"] = true.into();
        for (dataset, line) in [(Dataset::Users, user), (Dataset::Grants, grant)] {
            let schema = Schema::new(schemas::of(dataset));
            assert!(schema.problem(&line, BY_THIS).is_some(), "{dataset}");
            assert_eq!(schema.problem(&line, by_another), None, "{dataset}");
            for (field, wrong) in [("id", Value::Null), ("created_at", 7.into())] {
                let mut broken = line.clone();
                broken[field] = wrong;
                assert!(schema.problem(&broken, by_another).is_some(), "{dataset} {field}");
            }
            let mut nameless = line.clone();
            nameless.as_object_mut().expect("an object").remove("id");
            assert!(schema.problem(&nameless, by_another).is_some(), "{dataset}");
        }
    }
}
