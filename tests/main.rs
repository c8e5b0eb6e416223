//! All integration tests of clerk-sync, in one program. The folders are those of `src/`; each file shows
//! one promise, most of them through the handler.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]

mod support;

// Everything at once: random schedules, random inputs, and the corpus of the fuzzer.
mod chaos;
mod fuzz;
mod properties;

// The events and settings of the handler, and what holds for the whole program.
mod check;
mod config;
mod events;
mod lookup;
mod redaction;
mod secrecy;
mod secret_source;
mod status;
mod threat_model;

// The real program as a process and as a Lambda function.
mod program {
    mod certificates;
    mod commands;
    mod first_mistakes;
    mod lambda;
    mod messages;
    mod panics;
    mod process;
    mod progress;
}

// A sync, from the decision what to do to the published snapshot.
mod sync {
    mod answers;
    mod daily_active_users;
    mod decide;
    mod errors;
    mod start;

    mod read {
        mod check_users;
        mod comparison;
        mod forecast;
        mod left_out;
        mod refused;
        mod refused_references;
        mod windows;
    }
    mod publish {
        mod finished;
        mod retention;
        mod shrink_guard;
        mod signing;
        mod succession;
    }
    mod references {
        mod resolve;
    }
    mod write {
        mod compaction;
        mod row_ids;
    }
    mod run {
        mod latency;
        mod memory;
        mod resume;
        mod store_faults;
    }
    mod checkpoint {
        mod lease;
    }
}

// The lists of files for Athena, and the signatures of KMS.
mod athena;
mod kms;

// What changed with each published snapshot.
mod changes {
    mod action;
    mod feeds;
    mod limit;
    mod owed;
}

// One list, page by page.
mod paging {
    mod by_owner;
    mod drift;
    mod termination;
}

// All lists of the table.
mod lists {
    mod api_keys;
    mod every_list;
    mod machines;
    mod sessions;
}

// The client: network faults, rate limits, keys, hostile servers.
mod clerk {
    mod hostile_answers;
    mod hostile_http;
    mod key_changes;
    mod pace;
    mod rate_limits;
    mod wire;
}

// Clerk's rows become records.
mod translate {
    mod odd_values;
    mod records;
}

// The format of a snapshot.
mod snapshot {
    mod equality;
}

// The store: folder, S3, conditional writes.
mod store {
    mod both_stores;
    mod conditional_writes;
    mod edited_files;
    mod faulty_store;
    mod folder;
    mod s3;
}
