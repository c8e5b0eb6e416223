//! The digest that tells whether a run may be continued with these settings.

use std::collections::BTreeSet;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::Config;
use crate::resource::Resource;

/// See [`Config::fingerprint`].
pub(super) fn fingerprint(config: &Config, resources: &BTreeSet<Resource>) -> String {
    let digest = Sha256::digest(canonical_text(config, resources));
    let mut text = String::from("sha256:");
    for byte in digest {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// One line a setting, in a fixed order. A change to this text makes every run in progress start
/// over, so its first line counts up with it.
fn canonical_text(config: &Config, resources: &BTreeSet<Resource>) -> String {
    // By name, so that the order in which the program lists its resources does not matter.
    let names: BTreeSet<&str> = resources.iter().map(|resource| resource.name()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let metadata = config.metadata;
    // Only where it changes anything: other runs are continued whatever it is.
    let sessions = match resources.contains(&Resource::Sessions) {
        true => format!("sessions_lookback_seconds={}\n", config.sessions_lookback.as_secs()),
        false => String::new(),
    };
    format!(
        "clerk-sync/fingerprint/1\n\
         resources={}\n\
         clerk_api_url={}\n\
         clerk_api_version={}\n\
         compression={}\n\
         metadata_public={}\n\
         metadata_private={}\n\
         metadata_unsafe={}\n\
         include_raw={}\n\
         {sessions}",
        names.join(","),
        config.clerk.api_url,
        config.clerk.api_version,
        config.compression.name(),
        metadata.public,
        metadata.private,
        metadata.unsafe_,
        config.include_raw,
    )
}
