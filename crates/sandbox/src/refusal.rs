//! Errors in Clerk's shape.

/// A refusal in Clerk's error shape (Clerk OpenAPI 2026-05-12, schema `ClerkErrors`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// The invalid parameter.
    pub(crate) parameter: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), parameter: None }
    }

    /// A 422 for one parameter.
    pub(crate) fn parameter(parameter: &'static str, why: &str) -> Self {
        let message = format!("{parameter} {why}");
        Self { parameter: Some(parameter), ..Self::new(422, "form_param_value_invalid", message) }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "resource_not_found", "not found")
    }
}
