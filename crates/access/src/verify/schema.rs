//! Holds JSON against a schema, and says what is wrong without quoting it.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

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
    pub fn problem(&self, value: &Value) -> Option<String> {
        if self.0.is_valid(value) {
            return None;
        }
        let error = self.0.iter_errors(value).next()?;
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

#[cfg(test)]
mod tests {
    use clerk_snapshot::resource::Dataset;
    use clerk_snapshot::testing::records;

    use super::*;
    use crate::schemas;

    // Promise: what is wrong is named without what is there.
    #[test]
    fn a_problem_names_the_field_and_no_value() {
        for &dataset in Dataset::ALL {
            let schema = Schema::new(schemas::of(dataset));
            assert!(schema.problem(&Value::Null).is_some(), "{dataset}");
        }
        let users = Schema::new(schemas::of(Dataset::Users));
        let mut user = records::user("user_1");
        assert_eq!(users.problem(&user), None);
        user["profile"]["emails"][0]["verified"] = "ada@example.com".into();
        let problem = users.problem(&user);
        assert_eq!(
            problem.as_deref(),
            Some("breaks the schema at profile.emails.0.verified (type)")
        );
        let grants = Schema::new(schemas::of(Dataset::Grants));
        assert_eq!(grants.problem(&records::member_grant("org_1", "user_1", "orgmem_1")), None);
        assert!(grants.problem(&records::user("user_1")).is_some());
    }
}
