//! Which of Clerk's metadata bags are copied.

/// Which of Clerk's metadata bags are copied. None unless asked for by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MetadataBags {
    /// `public_metadata`.
    pub public: bool,
    /// `private_metadata`.
    pub private: bool,
    /// `unsafe_metadata`: users alone have it.
    pub unsafe_: bool,
}
