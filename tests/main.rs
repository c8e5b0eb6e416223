//! Every promise of clerk-sync, a file each, most of them through the handler.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]

mod support;

mod chaos;
mod fuzz;
mod properties;

mod check;
mod config;
mod events;
mod lookup;
mod redaction;
mod secrecy;
mod secret_source;
mod status;
mod threat_model;

mod program {
    mod certificates;
    mod lambda;
    mod messages;
    mod panics;
    mod process;
    mod progress;
}

mod sync {
    mod answers;
    mod daily_active_users;
    mod decide;
    mod errors;
    mod start;

    mod read {
        mod forecast;
        mod left_out;
        mod refused;
        mod refused_references;
        mod settle;
        mod windows;
    }
    mod publish {
        mod finished;
        mod shrink_guard;
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
        mod resume;
        mod store_faults;
    }
    mod checkpoint {
        mod lease;
    }
}

mod paging {
    mod by_owner;
    mod drift;
    mod termination;
}

mod lists {
    mod api_keys;
    mod every_list;
    mod machines;
    mod sessions;
}

mod clerk {
    mod hostile_answers;
    mod hostile_http;
    mod key_changes;
    mod pace;
    mod rate_limits;
    mod wire;
}

mod translate {
    mod odd_values;
    mod records;
}

mod snapshot {
    mod equality;
}

mod store {
    mod both_stores;
    mod conditional_writes;
    mod edited_files;
    mod folder;
    mod planted_faults;
    mod s3;
}
