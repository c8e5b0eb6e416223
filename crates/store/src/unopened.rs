//! A store that the AWS settings give no access to.

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Condition, ContentType, DeleteCondition, Listed, Object, Operation, Store, StoreError,
    StoreErrorKind, Stored, Version,
};
use crate::aws::AwsObstacle;

/// Takes the place of a store that cannot be opened. Every operation returns the reason, so `check` can still report on
/// everything else.
#[derive(Clone, Debug)]
pub(super) struct Unopened {
    url: String,
    why: Why,
}

#[derive(Clone, Debug)]
enum Why {
    NoRegion,
    Obstacle(AwsObstacle),
}

impl Unopened {
    /// A store without a configured region.
    pub(super) const fn without_region(url: String) -> Self {
        Self { url, why: Why::NoRegion }
    }

    /// A store that cannot be reached because of an obstacle.
    pub(super) const fn behind(url: String, obstacle: AwsObstacle) -> Self {
        Self { url, why: Why::Obstacle(obstacle) }
    }

    fn failed<T>(&self, operation: Operation, key: &str) -> Result<T, StoreError> {
        let url = self.url_of(key);
        Err(match &self.why {
            Why::NoRegion => StoreError::new(operation, url, StoreErrorKind::NoRegion),
            Why::Obstacle(obstacle) => {
                StoreError::new(operation, url, StoreErrorKind::Obstacle(obstacle.clone()))
            }
        })
    }
}

#[async_trait]
impl Store for Unopened {
    fn url_of(&self, key: &str) -> String {
        format!("{}/{key}", self.url)
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.failed(Operation::Get, key)
    }

    async fn put(
        &self,
        key: &str,
        _bytes: Bytes,
        _content_type: ContentType,
        _condition: Condition,
    ) -> Result<Version, StoreError> {
        self.failed(Operation::Put, key)
    }

    async fn delete(&self, key: &str, _condition: DeleteCondition) -> Result<(), StoreError> {
        self.failed(Operation::Delete, key)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.failed(Operation::List, prefix)
    }

    async fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.failed(Operation::Verify, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_region_every_operation_says_what_to_set() {
        let store = Unopened::without_region("s3://bucket".to_owned());
        let error = store.get("latest.json").await.unwrap_err();
        assert!(error.to_string().contains("set AWS_REGION"), "{error}");
        assert!(!error.is_retryable());
    }
}
