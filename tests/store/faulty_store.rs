//! The store that other tests use to inject faults fails exactly where it is told to.

use std::sync::Arc;

use clerk_store::{Condition, FolderStore, Operation, Store};

use crate::support::faulty_store::{Effect, Fault, FaultyStore};
use crate::support::store_calls::{CHECKPOINT, PART, put, text_of};

#[tokio::test]
async fn an_injected_fault_strikes_its_call_and_does_what_it_says() {
    for (effect, applied, precondition) in [
        (Effect::FailBefore, false, false),
        (Effect::RefusePrecondition, false, true),
        (Effect::FailAfter, true, false),
        (Effect::LoseAnswer, true, false),
        (Effect::RefuseAfter, true, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let faulty = FaultyStore::new(Arc::new(FolderStore::new(folder.path())));
        faulty.fault(Fault::new(Operation::Put, effect).on_key("checkpoint").at(2));
        let store: Arc<dyn Store> = faulty.clone();
        put(&store, CHECKPOINT, "1", Condition::Absent).await.unwrap();
        put(&store, PART, "rows", Condition::Any).await.unwrap();
        let error = put(&store, CHECKPOINT, "2", Condition::Any).await.unwrap_err();
        assert_eq!(error.is_precondition_failed(), precondition, "{effect:?}");
        let content = text_of(&store, CHECKPOINT).await.unwrap();
        assert_eq!(content, if applied { "2" } else { "1" }, "{effect:?}");
        put(&store, CHECKPOINT, "3", Condition::Any).await.unwrap();

        assert_eq!(faulty.keys_put(), [CHECKPOINT, PART, CHECKPOINT, CHECKPOINT]);
        let struck: Vec<_> = faulty.calls().into_iter().filter_map(|call| call.effect).collect();
        assert_eq!(struck, [effect]);
    }
}

#[tokio::test]
async fn a_lasting_fault_ends_when_healed() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = FaultyStore::new(Arc::new(FolderStore::new(folder.path())));
    faulty.fault(Fault::new(Operation::Get, Effect::FailBefore).from(2));
    assert!(faulty.get(CHECKPOINT).await.is_ok());
    for _ in 0..3 {
        assert!(faulty.get(CHECKPOINT).await.is_err());
    }
    faulty.heal();
    assert!(faulty.get(CHECKPOINT).await.is_ok());
    assert_eq!(faulty.count(Operation::Get), 5);
}
