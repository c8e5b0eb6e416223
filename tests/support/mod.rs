//! What the tests share: a sandbox Clerk, a store in memory that can be made to fail, and the
//! handler between them.

pub(crate) mod faulty_store;
pub(crate) mod memory_store;
pub(crate) mod moto;
pub(crate) mod sandbox_transport;
pub(crate) mod scripted_secret;
pub(crate) mod snapshot;
pub(crate) mod world;
