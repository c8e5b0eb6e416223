//! Understands the lines of the datasets that questions are about.
//!
//! - [`cursor`] reads a line in the form in which clerk-sync writes it, without parsing JSON. Other forms of the same
//!   JSON are parsed.
//! - [`grant`] is a membership's grant, [`user`] a user.
//! - [`catalogue`] is what there are few of: organizations, roles and permissions.

pub mod catalogue;
pub mod cursor;
pub mod grant;
pub mod user;
