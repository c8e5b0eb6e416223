//! Parses Clerk's JSON rows, borrowing from the body, with only the fields that a snapshot needs.
//!
//! - An absent or `null` field is `None`, and an unknown field is ignored.
//! - Statuses, providers and types are open strings, because Clerk adds values without notice.
//! - A value of the wrong type is a [`DecodeError`] with its path; `repair` then reads the row without that value,
//!   unless the row needs it.
//! - Field names and shapes are those of Clerk's OpenAPI document 2026-05-12.

mod decode;
mod error_body;
mod instance;
mod organization;
mod organization_membership;
mod organization_permission;
mod organization_role;
mod page;
mod place;
mod repair;
mod text;
mod time;
mod user;

pub(crate) use decode::present;
pub use decode::{DecodeError, Object, decode, decode_object};
pub use error_body::ErrorBody;
pub use instance::{Instance, TotalCount};
pub use organization::Organization;
pub use organization_membership::{MembershipOrganization, OrganizationMembership, PublicUserData};
pub use organization_permission::OrganizationPermission;
pub use organization_role::{OrganizationRole, RolePermission};
pub use page::{MAX_ROWS, Page, decode_page, decode_rows};
pub(crate) use repair::{Repaired, repair};
pub use text::Text;
pub(crate) use text::{identifier, optional_identifier};
pub use time::Time;
pub use user::{
    AccountVerification, EmailAddress, EnterpriseAccount, ExternalAccount, Passkeys, PhoneNumber,
    User, Verification, Web3Wallet,
};
