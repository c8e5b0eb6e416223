//! The instance being read, and the count of its users.

use serde::Deserialize;

use super::page::count;
use super::text::{Text, identifier, key};

/// Answer of GET /instance (Clerk OpenAPI 2026-05-12, schema Instance).
#[derive(Debug, Deserialize)]
pub struct Instance<'a> {
    /// `ins_…`.
    #[serde(borrow, deserialize_with = "identifier")]
    pub id: Text<'a>,
    /// `production`, `development`, …: an open set.
    #[serde(borrow, deserialize_with = "key")]
    pub environment_type: Text<'a>,
}

/// Answer of GET /users/count (Clerk OpenAPI 2026-05-12, schema TotalCount).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct TotalCount {
    /// Number of matching rows.
    #[serde(deserialize_with = "count")]
    pub total_count: u64,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::decode;
    use super::*;

    #[test]
    fn an_instance_is_its_id_and_environment() {
        let json = br#"{"object":"instance","id":"ins_1","environment_type":"production",
            "allowed_origins":null,"workspace_id":null}"#;
        let instance: Instance<'_> = decode(json).unwrap();
        assert_eq!(
            (instance.id.as_str(), instance.environment_type.as_str()),
            ("ins_1", "production")
        );
    }

    #[test]
    fn a_count_is_never_negative() {
        let count: TotalCount = decode(br#"{"object":"total_count","total_count":3}"#).unwrap();
        assert_eq!(count.total_count, 3);
        let error = decode::<TotalCount>(br#"{"total_count":-1}"#).unwrap_err();
        assert_eq!(error.to_string(), "`total_count`: expected a 64-bit integer of at least 0");
    }
}
