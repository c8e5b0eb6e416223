//! Explains why the SDK has no credentials to sign with: the cause first, then what to do.

use std::error::Error as StdError;
use std::fmt;

use aws_config::meta::ProviderChainError;
use aws_credential_types::provider::error::CredentialsError;

use crate::no_answer::{NoAnswer, Server, causes};

/// Why there are no credentials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CredentialsProblem {
    /// None of the usual sources has any.
    NoneFound {
        /// Whether requests to the machine's metadata service go through a proxy.
        through_proxy: bool,
    },
    /// `AWS_PROFILE` names a profile that does not exist.
    NoSuchProfile {
        /// Its name.
        profile: String,
    },
    /// The profile is contradictory or incomplete.
    ProfileIncomplete,
    /// The profile needs a way to sign in that this build of the program leaves out.
    LeftOut,
    /// The session of `aws sso login` has expired, or there was none.
    SsoLoginNeeded,
    /// The session of `aws login` has expired, or there was none.
    LoginNeeded,
    /// The `credential_process` of the profile failed.
    ProcessFailed,
    /// The metadata service of the container or machine returned none.
    MetadataFailed {
        /// Whether requests to it go through a proxy.
        through_proxy: bool,
    },
    /// A service that issues credentials (STS, SSO) could not be reached.
    NoAnswer(NoAnswer),
    /// Any other failure, for example because the role may not be assumed.
    NotGiven,
}

impl CredentialsProblem {
    /// Finds the cause in the SDK's report of its attempts.
    pub(super) fn of(error: &CredentialsError) -> Self {
        if let CredentialsError::CredentialsNotLoaded(_) = error {
            return Self::none_found(error);
        }
        if let Some(problem) = causes(error).find_map(problem_of) {
            return problem;
        }
        let why = NoAnswer::of(error);
        let asked_metadata = is_in_container()
            || matches!(error, CredentialsError::ProviderTimedOut(_))
            || causes(error).any(|cause| text_of(cause).contains("imds"));
        match error {
            _ if why.is_permanent() => Self::NoAnswer(why),
            _ if asked_metadata => Self::MetadataFailed { through_proxy: is_through_proxy() },
            CredentialsError::InvalidConfiguration(_) => Self::ProfileIncomplete,
            _ if why != NoAnswer::Broken => Self::NoAnswer(why),
            _ => Self::NotGiven,
        }
    }

    /// Finds an attempt that found a profile but could not use it, which says more than "none found".
    fn none_found(error: &CredentialsError) -> Self {
        let chain = error
            .source()
            .and_then(|source| source.downcast_ref::<ProviderChainError<CredentialsError>>());
        let attempts = chain.map(ProviderChainError::attempts).unwrap_or_default();
        let problem =
            attempts.iter().find_map(|attempt| causes(attempt.error()).find_map(problem_of));
        problem.unwrap_or_else(|| Self::NoneFound { through_proxy: is_through_proxy() })
    }

    /// `AWS_PROFILE` names a profile that does not exist.
    #[cfg(feature = "cli")]
    pub(super) fn no_such_profile(name: &str) -> Self {
        Self::NoSuchProfile { profile: crate::quoted::Quoted(name).to_string() }
    }
}

/// The problem that one cause points to, if it does. The SDK's types for these causes are private, so they are
/// recognised by constant phrases in their texts.
fn problem_of(cause: &(dyn StdError + 'static)) -> Option<CredentialsProblem> {
    const WORDS: [(&str, CredentialsProblem); 10] = [
        ("requires following cargo feature", CredentialsProblem::LeftOut),
        ("was not defined", CredentialsProblem::ProfileIncomplete),
        ("the sso token has expired", CredentialsProblem::SsoLoginNeeded),
        ("cached sso token", CredentialsProblem::SsoLoginNeeded),
        ("/.aws/sso/cache/", CredentialsProblem::SsoLoginNeeded),
        ("unauthorizedexception", CredentialsProblem::SsoLoginNeeded),
        ("cached login token", CredentialsProblem::LoginNeeded),
        ("/.aws/login/cache/", CredentialsProblem::LoginNeeded),
        ("external process exited", CredentialsProblem::ProcessFailed),
        ("from external process", CredentialsProblem::ProcessFailed),
    ];
    let text = text_of(cause);
    WORDS.into_iter().find(|(words, _)| text.contains(words)).map(|(_, problem)| problem)
}

/// The first 1000 characters of an error's text, in lower case.
fn text_of(error: &dyn StdError) -> String {
    error.to_string().chars().take(1000).collect::<String>().to_lowercase()
}

/// Whether this is a container, whose credentials come from a service named by one of these variables (AWS
/// documentation, "Container credential provider").
fn is_in_container() -> bool {
    ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]
        .into_iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Addresses of the metadata services of machines and containers (AWS documentation).
const METADATA_HOSTS: [&str; 2] = ["169.254.169.254", "169.254.170.2"];

/// Whether requests to the metadata services, which are plain HTTP, go through a proxy.
fn is_through_proxy() -> bool {
    let set = |names: [&str; 2]| {
        let value = names.into_iter().find_map(|name| std::env::var(name).ok());
        value.filter(|value| !value.is_empty())
    };
    let proxy = set(["HTTP_PROXY", "http_proxy"]).or_else(|| set(["ALL_PROXY", "all_proxy"]));
    let excluded = set(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    let is_excluded =
        |host: &&str| excluded.split(',').map(str::trim).any(|one| one == "*" || one == *host);
    proxy.is_some() && !METADATA_HOSTS.iter().all(is_excluded)
}

impl fmt::Display for CredentialsProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BYPASS_PROXY: &str = "set NO_PROXY=169.254.169.254,169.254.170.2, because a proxy is \
                                    set for requests to this machine's metadata service";
        match self {
            Self::NoneFound { through_proxy: true } => {
                write!(formatter, "no AWS credentials were found; {BYPASS_PROXY}")
            }
            Self::NoneFound { through_proxy: false } => formatter.write_str(
                "no AWS credentials were found; configure a profile, a role or AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY",
            ),
            Self::NoSuchProfile { profile } => write!(
                formatter,
                "AWS_PROFILE names {profile}, but there is no such profile; correct it, or add the \
                 profile with `aws configure`"
            ),
            Self::ProfileIncomplete => formatter.write_str(
                "the AWS profile is incomplete, or names another one that does not exist; correct it \
                 until `aws sts get-caller-identity` works with it",
            ),
            Self::LeftOut => formatter.write_str(
                "the AWS profile needs SSO, `aws login` or a credential_process, which this build of \
                 clerk-sync leaves out; build it with the feature `cli`, or use another profile",
            ),
            Self::SsoLoginNeeded => formatter.write_str(
                "the sign-in of the AWS profile has expired or there was none; run `aws sso login`",
            ),
            Self::LoginNeeded => formatter.write_str(
                "the sign-in of the AWS profile has expired or there was none; run `aws login`",
            ),
            Self::ProcessFailed => formatter.write_str(
                "the credential_process of the AWS profile failed, or did not print \
                 credentials; run its command by hand",
            ),
            Self::MetadataFailed { through_proxy: true } => write!(
                formatter,
                "the metadata service of this machine or container gave no AWS credentials; \
                 {BYPASS_PROXY}"
            ),
            Self::MetadataFailed { through_proxy: false } => formatter.write_str(
                "the metadata service of this machine or container gave no AWS credentials; check that \
                 it has a role",
            ),
            Self::NoAnswer(why) => write!(
                formatter,
                "AWS credentials could not be obtained: {why}; {}",
                why.advice(Server::Aws)
            ),
            Self::NotGiven => formatter.write_str(
                "AWS credentials were refused; check that the profile's role may be assumed and \
                 that `aws sts get-caller-identity` works with it",
            ),
        }
    }
}
