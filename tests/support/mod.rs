//! What the tests share: a sandbox Clerk, a store in memory that can be made to fail, and the
//! handler between them.

pub(crate) mod answers;
pub(crate) mod aws_proxy;
pub(crate) mod bounded;
pub(crate) mod captured;
pub(crate) mod chain;
pub(crate) mod faulty_store;
pub(crate) mod feed;
pub(crate) mod further_lists;
pub(crate) mod fuse;
pub(crate) mod gate;
pub(crate) mod hostile;
pub(crate) mod lambda_runtime;
pub(crate) mod lists;
pub(crate) mod lists_of_files;
pub(crate) mod machines;
pub(crate) mod memory_store;
pub(crate) mod moto;
pub(crate) mod oracle;
pub(crate) mod pieces;
pub(crate) mod plain;
pub(crate) mod process;
pub(crate) mod s3_proxy;
pub(crate) mod sandbox_transport;
pub(crate) mod scene;
pub(crate) mod scripted_secret;
pub(crate) mod sessions;
pub(crate) mod signer;
pub(crate) mod snapshot;
pub(crate) mod source;
pub(crate) mod stand_in;
pub(crate) mod store_calls;
pub(crate) mod tls;
pub(crate) mod two_instances;
pub(crate) mod unreachable;
pub(crate) mod world;
