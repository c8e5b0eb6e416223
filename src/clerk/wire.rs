//! Clerk's rows as they arrive, borrowing from the body: only what a snapshot needs.
//!
//! Ids, keys and times are strict: the wrong type is a [`DecodeError`] that names its path.
//! Everything else is lenient, because Clerk adds fields and values without notice: a field that is
//! absent or `null` is `None`, an unknown field is passed over, and statuses, providers and types
//! are open strings. Field names and shapes are those of Clerk's OpenAPI document 2026-05-12.

mod decode;
mod error_body;
mod instance;
mod organization;
mod organization_membership;
mod organization_permission;
mod organization_role;
mod page;
mod place;
mod text;
mod time;
mod user;

pub use decode::{DecodeError, Object, decode, decode_object};
pub use error_body::{ErrorBody, ErrorItem, ErrorMeta};
pub use instance::{Instance, TotalCount};
pub use organization::Organization;
pub use organization_membership::{MembershipOrganization, OrganizationMembership, PublicUserData};
pub use organization_permission::OrganizationPermission;
pub use organization_role::{OrganizationRole, RolePermission};
pub use page::{MOST_ROWS, Page, decode_page};
pub use text::Text;
pub(crate) use text::identifier;
pub use time::Time;
pub use user::{
    EmailAddress, EnterpriseAccount, ExternalAccount, Passkeys, PhoneNumber, User, Verification,
    Web3Wallet,
};
