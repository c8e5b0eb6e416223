//! Selects which of Clerk's metadata bags are copied (`METADATA`).

/// Which of Clerk's metadata bags are copied. By default none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MetadataBags {
    /// `public_metadata`.
    pub public: bool,
    /// `private_metadata`.
    pub private: bool,
    /// `unsafe_metadata`, which only users have.
    pub unsafe_: bool,
}
