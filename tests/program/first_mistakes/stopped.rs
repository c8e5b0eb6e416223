//! Runs that are stopped: by Ctrl-C at any moment, by a budget that is too small, by a machine that dies.

use std::time::Duration;

use super::{Mistake, Stranger, Told, judge_all};

pub(super) const MISTAKES: [Mistake; 3] = [
    Mistake {
        what: "presses Ctrl-C",
        play: || Box::pin(interrupted()),
        status: 75,
        name: "partial",
        says: "The run paused because it was interrupted",
        to_do: "what was read is stored, and the next sync continues",
    },
    Mistake {
        what: "gives a Lambda function, or a run, too little time",
        play: || Box::pin(too_little_time()),
        status: 75,
        name: "partial",
        says: "The run paused because the time budget ran out",
        to_do: "what was read is stored, and the next sync continues",
    },
    Mistake {
        what: "starts it again after it was killed",
        play: || Box::pin(killed()),
        status: 75,
        name: "busy",
        says: "Another invocation holds the run until",
        to_do: "If it was killed, try again after that.",
    },
];

async fn interrupted() -> Option<Told> {
    let stranger = Stranger::new().await;
    // So that the signal arrives before the run ends.
    stranger.sandbox.set_latency(Duration::from_millis(100), Duration::ZERO);
    Told::answered(&stranger.program().run_and_signal("INT", &stranger.sandbox, 2).await)
}

async fn too_little_time() -> Option<Told> {
    let stranger = Stranger::new().await;
    Told::answered(&stranger.program().with("TIME_BUDGET_SECONDS", "0").run().await)
}

async fn killed() -> Option<Told> {
    let stranger = Stranger::new().await;
    let killed = stranger.program().run_and_signal("KILL", &stranger.sandbox, 2).await;
    assert_eq!(killed.status, None, "{killed:?}");
    Told::answered(&stranger.program().run().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_are_stopped_say_how_they_go_on() {
    judge_all(&MISTAKES).await;
}

/// Ctrl-C at every request of a sync: each time the run ends in words, and the next one completes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_anywhere_loses_nothing() {
    let stranger = Stranger::new().await;
    let into = |name: &str| {
        let folder = stranger.folder.path().join(name);
        stranger.program().with("SNAPSHOT_URL", &format!("file://{}", folder.display()))
    };
    into("whole").run().await.answer(0);
    let requests = stranger.sandbox.total_requests();
    assert!(requests >= 2, "{requests}");
    let mut interrupted = 0;
    for request in 1..=requests as u64 {
        let program = into(&format!("interrupted-{request}"));
        let finished = program.run_and_signal("INT", &stranger.sandbox, request).await;
        let told = Told::answered(&finished).expect("an answer");
        if told.status == Some(75) {
            interrupted += 1;
            assert!(told.message.contains("the next sync continues"), "{request}: {told:?}");
            assert!(finished.stderr.contains("interrupt again to stop at once"), "{told:?}");
        } else {
            assert_eq!(told.status, Some(0), "{request}: {told:?}");
        }
        program.with("SNAPSHOT_INTERVAL_MINUTES", "60").run().await.answer(0);
    }
    assert!(interrupted > 0, "no signal arrived in time");
}
