//! One execution environment of the function, and how its invocations end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::time::Instant;

use crate::support::aws_proxy::{Entrance, Stop, Target};
use crate::support::lambda_runtime::Lambda;

/// An invocation without a hanging call that takes longer than this counts as endless. No test
/// waits this long.
pub(super) const FOR_EVER: Duration = Duration::from_secs(240);

/// An execution environment, and its entrance to AWS.
pub(super) struct Environment {
    pub(super) lambda: Lambda,
    pub(super) target: Arc<Target>,
    pub(super) entrance: Entrance,
}

/// How an invocation ended.
#[derive(Debug)]
pub(super) enum End {
    Answered(Value),
    Failed(Value),
    /// The process ended without an answer.
    Died,
    /// Lambda killed it.
    PastDeadline,
    Frozen,
}

impl Environment {
    /// Delivers an event, and waits for the result.
    pub(super) async fn invoke(
        &mut self,
        request_id: &str,
        event: &Value,
        deadline: Duration,
    ) -> End {
        self.target.thaw();
        let until = SystemTime::now() + deadline;
        self.lambda.deliver(request_id, event.clone(), until).await;
        self.outcome(request_id, deadline.min(FOR_EVER)).await
    }

    pub(super) async fn outcome(&mut self, request_id: &str, deadline: Duration) -> End {
        let until = Instant::now() + deadline;
        let end = tokio::select! {
            biased;
            outcome = self.lambda.outcome(request_id) => match outcome {
                Some(Ok(answer)) => End::Answered(answer),
                Some(Err(error)) => End::Failed(error),
                None => End::Died,
            },
            () = self.target.frozen() => End::Frozen,
            () = tokio::time::sleep_until(until) => End::PastDeadline,
        };
        assert!(
            deadline < FOR_EVER || !matches!(end, End::PastDeadline),
            "an invocation does not end"
        );
        if matches!(end, End::PastDeadline) {
            self.target.stop(Stop::Kill);
            self.lambda.has_ended().await;
        }
        end
    }
}
