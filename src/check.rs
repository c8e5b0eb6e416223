//! `check`: tests everything that a sync needs, and changes nothing but a probe file.

use std::borrow::Cow;
use std::sync::Arc;

use clerk_snapshot::digest::Sha256Hex;
use clerk_store::conformance::{prove_without_a_trace, remove_probes};
use clerk_store::{Store, StoreError};
use futures_util::future::join;

use crate::clerk::client::Client;
use crate::clerk::error::ClerkError;
use crate::config::{Config, KeySetting};
use crate::dependencies::Dependencies;
use crate::error::clerk_error;
use crate::invocation::Invocation;
use crate::lists::endpoint::{ByOwner, Endpoint, Paging, RowsOfOwner, WholeList};
use crate::lists::page::{PageContext, ReadPage};
use crate::lists::table::endpoint as endpoint_of;
use crate::lists::table::lists_needed;
use crate::redaction::Redaction;
use crate::response::CheckAnswer;
use crate::signing::Signer;

/// Tests the secret, the connection to the instance, one row of each list needed, the store, and the
/// key that signs manifests.
/// Each test has an answer, whatever the others find: a test that cannot be made because another
/// failed is not ok, and says so.
pub async fn check(
    dependencies: &Dependencies,
    config: &Config,
    invocation: &Invocation,
) -> Vec<CheckAnswer> {
    let (mut answers, store) =
        join(check_clerk(dependencies, config, invocation), check_store(&*dependencies.store))
            .await;
    answers.push(answer("store", store.map_err(|error| describe(&error))));
    if let Some(signer) = &dependencies.signer {
        answers.push(answer("signing", check_signer(&**signer, config).await));
    }
    answers
}

/// Signs a text that is no manifest.
async fn check_signer(signer: &dyn Signer, config: &Config) -> Result<String, String> {
    match signer.sign(Sha256Hex::of(b"clerk-sync check")).await {
        Ok(_) => {
            let key = config.signing_key_id.as_deref().unwrap_or_default();
            Ok(format!("the KMS key {key} signs"))
        }
        Err(error) => Err(crate::error::with_causes(&error)),
    }
}

/// Tests the secret, and everything that needs the key in it.
async fn check_clerk(
    dependencies: &Dependencies,
    config: &Config,
    invocation: &Invocation,
) -> Vec<CheckAnswer> {
    let needed = lists_needed(&config.resources).into_iter();
    let lists: Vec<_> = needed.map(endpoint_of).filter(|endpoint| endpoint.is_read()).collect();
    let not_asked = |why: &str| {
        let lists = lists.iter().map(|endpoint| endpoint.name().to_string());
        lists
            .map(|list| answer(&list, Err(format!("not asked, because {why}"))))
            .collect::<Vec<_>>()
    };
    let client = dependencies.client(config, Arc::clone(&invocation.work_limit)).await;
    let (client, redaction) = match client {
        Ok(made) => made,
        Err(error) => {
            let why = "the secret key could not be read";
            let instance = answer("instance", Err(format!("not asked, because {why}")));
            let mut answers =
                vec![answer("secret", Err(error.message_without_outlook())), instance];
            answers.extend(not_asked(why));
            return answers;
        }
    };
    let mut answers = vec![answer("secret", Ok(secret_detail(config, redaction.as_ref())))];
    let instance = client.instance().await;
    let blocked = instance.as_ref().err().and_then(blocks_every_list);
    answers.push(answer(
        "instance",
        instance
            .map(|instance| format!("Clerk's instance {} ({})", instance.id, instance.environment))
            .map_err(refusal),
    ));
    if let Some(why) = blocked {
        return answers.into_iter().chain(not_asked(why)).collect();
    }
    for endpoint in lists {
        let row = look_at(&client, endpoint).await.map_err(refusal);
        answers.push(answer(&endpoint.name().to_string(), row));
    }
    answers
}

/// Why no list need be requested after the request for the instance failed; `None` if a list may
/// succeed.
fn blocks_every_list(error: &ClerkError) -> Option<&'static str> {
    match error.root() {
        ClerkError::Unauthorized { .. } | ClerkError::SecretUnavailable { .. } => {
            Some("Clerk does not accept the key")
        }
        ClerkError::Unavailable { .. } | ClerkError::NotClerk { .. } => {
            Some("Clerk could not be reached")
        }
        ClerkError::Paused { .. } | ClerkError::OutOfTime { .. } => Some("no time was left for it"),
        _ => None,
    }
}

/// Reads one row of a list, or one row of those that its first owner has in it.
async fn look_at(client: &Client, endpoint: &Endpoint) -> Result<String, ClerkError> {
    let whole = match endpoint.by_owner {
        Some(ByOwner { whole: WholeList::Missing, .. }) => None,
        _ => Some(first_row(client, endpoint, None).await),
    };
    let (by_owner, refused) = match (whole, endpoint.by_owner) {
        (None, Some(by_owner)) => (by_owner, None),
        (
            Some(Err(
                error @ (ClerkError::Rejected { status: 400 | 422, .. }
                | ClerkError::Refused { .. }),
            )),
            Some(by_owner @ ByOwner { whole: WholeList::Doubtful, .. }),
        ) => (by_owner, Some(error)),
        (Some(read), _) => return Ok(rows_of(&read?)),
        (None, None) => return Ok("nobody owns any row of it".to_owned()),
    };
    let owners = first_row(client, endpoint_of(by_owner.owners), None).await?;
    let Some(owner) = owners.rows.first() else {
        return match refused {
            // A sync would skip the list.
            Some(error @ ClerkError::Refused { .. }) => Err(error),
            _ => Ok(format!("readable for each of {}, of which there are none", by_owner.owners)),
        };
    };
    let part = first_row(client, endpoint, Some((by_owner.rows, &owner.key.id))).await?;
    Ok(format!("{} of the first of {}", rows_of(&part), by_owner.owners))
}

fn rows_of(page: &ReadPage) -> String {
    match (page.total, page.rows.len()) {
        (Some(total), _) => format!("readable, {total} rows"),
        (None, 0) => "readable, no rows".to_owned(),
        (None, _) => "readable".to_owned(),
    }
}

/// Requests one row of a list, or of the `part` of it that belongs to one owner.
async fn first_row(
    client: &Client,
    endpoint: &Endpoint,
    part: Option<(RowsOfOwner, &str)>,
) -> Result<ReadPage, ClerkError> {
    let context = PageContext::without_lines();
    let mut path = Cow::Borrowed(endpoint.path);
    let mut query = endpoint.query.to_vec();
    match part {
        Some((RowsOfOwner::Path(path_of), owner)) => path = path_of(owner).into(),
        Some((RowsOfOwner::Filter(parameter), owner)) => query.push((parameter, owner)),
        None => {}
    }
    if endpoint.paging != Paging::SinglePage {
        query.push(("limit", "1"));
    }
    client.get(&path, &query, |body| Ok(endpoint.read(&body, &context)?)).await
}

fn answer(check: &str, outcome: Result<String, String>) -> CheckAnswer {
    let ok = outcome.is_ok();
    let detail = outcome.unwrap_or_else(|problem| problem);
    CheckAnswer { check: check.to_owned(), ok, detail }
}

fn secret_detail(config: &Config, redaction: Option<&Redaction>) -> String {
    let place = match &config.key {
        KeySetting::SecretsManager { .. } => "Secrets Manager",
        KeySetting::Environment(_) => "CLERK_SECRET_KEY",
    };
    let replaced = match redaction.map(Redaction::key_id) {
        None => "",
        Some(Some(_)) => ", and the redaction_key beside it",
        Some(None) => "; there is no redaction_key, so what REDACT names becomes null",
    };
    format!("a Clerk secret key was read from {place}{replaced}")
}

fn refusal(error: ClerkError) -> String {
    match error {
        error @ ClerkError::Refused { .. } => {
            format!("{error}; a snapshot would skip it")
        }
        // Nothing is in progress that anything could become of.
        error => clerk_error(error).message_without_outlook(),
    }
}

fn describe(error: &StoreError) -> String {
    crate::error::with_causes(error)
}

/// Does on a probe file what a sync does, and leaves nothing behind.
async fn check_store(store: &dyn Store) -> Result<String, StoreError> {
    if let Some(problem) = prove_without_a_trace(store).await?.removal {
        return Err(problem);
    }
    remove_probes(store).await?;
    Ok(format!(
        "{} can be written, read, listed and deleted from; conditional writes and deletions work",
        store.url_of("")
    ))
}
