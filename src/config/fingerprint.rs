//! The settings that shape what is written: as a digest, which says whether a run may be continued under them, and in
//! clear.

use std::collections::BTreeSet;
use std::time::Duration;

use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::manifest::Settings;
use clerk_snapshot::resource::Resource;
use serde_json::Number;

use super::Config;

/// See [`Config::fingerprint`].
pub(super) fn fingerprint(config: &Config, resources: &BTreeSet<Resource>) -> String {
    format!("sha256:{}", Sha256Hex::of(canonical_text(config, resources).as_bytes()))
}

/// Incremented with every change of the shape of records or of part names, after which the same
/// rows are written as other lines or under other names. A run that an earlier version began is
/// then abandoned, so that no snapshot has both shapes.
///
/// 1: before shapes were counted. 2: part names with windows of four digits and sequences of eight.
const OUTPUT_SHAPE: u32 = 2;

/// One line a setting, in a fixed order. Any change to this text restarts every run in progress, so
/// the version in its first line must change with it.
fn canonical_text(config: &Config, resources: &BTreeSet<Resource>) -> String {
    // Sorted by name, so that the order in the program does not matter.
    let names: BTreeSet<&str> = resources.iter().map(|resource| resource.name()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let metadata = config.metadata;
    let mut text = format!(
        "clerk-sync/fingerprint/2\n\
         output_shape={OUTPUT_SHAPE}\n\
         resources={}\n\
         clerk_api_url={}\n\
         clerk_api_version={}\n\
         compression={}\n\
         metadata_public={}\n\
         metadata_private={}\n\
         metadata_unsafe={}\n\
         include_raw={}\n",
        names.join(","),
        config.clerk.api_url,
        config.clerk.api_version,
        config.compression.name(),
        metadata.public,
        metadata.private,
        metadata.unsafe_,
        config.include_raw,
    );
    // Settings that were added later have a line only if they matter, so that other runs can be
    // continued.
    if resources.contains(&Resource::Sessions) {
        let seconds = config.sessions_lookback.as_secs();
        text.push_str(&format!("sessions_lookback_seconds={seconds}\n"));
    }
    if !config.redact.is_empty() {
        let kinds: Vec<&str> = config.redact.iter().map(|kind| kind.name()).collect();
        text.push_str(&format!("redact={}\n", kinds.join(",")));
    }
    if resources.contains(&Resource::DailyActiveUsers) {
        text.push_str(&format!("dau_lookback_days={}\n", config.dau_lookback_days));
    }
    text
}

/// See [`Config::settings`].
pub(super) fn settings(config: &Config, resources: &BTreeSet<Resource>) -> Settings {
    let url = config.clerk.api_url.as_str();
    let metadata = config.metadata;
    let bags =
        [("public", metadata.public), ("private", metadata.private), ("unsafe", metadata.unsafe_)];
    let opted_in = |resource| resources.contains(&resource);
    Settings {
        clerk_api_url: url.strip_suffix("/v1").unwrap_or(url).to_owned(),
        metadata: bags.iter().filter(|(_, copied)| *copied).map(|(bag, _)| (*bag).into()).collect(),
        include_raw: config.include_raw,
        redact: config.redact.iter().map(|kind| kind.name().to_owned()).collect(),
        sessions_lookback_days: opted_in(Resource::Sessions)
            .then(|| days(config.sessions_lookback))
            .flatten(),
        dau_lookback_days: opted_in(Resource::DailyActiveUsers).then_some(config.dau_lookback_days),
    }
}

/// A whole number without a fraction, as it is set.
fn days(span: Duration) -> Option<Number> {
    const SECONDS: u64 = 24 * 60 * 60;
    if span.subsec_nanos() == 0 && span.as_secs().is_multiple_of(SECONDS) {
        Some((span.as_secs() / SECONDS).into())
    } else {
        Number::from_f64(span.as_secs_f64() / SECONDS as f64)
    }
}
