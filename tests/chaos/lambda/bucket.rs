//! The bucket of a schedule, read and changed from outside the program.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use bytes::Bytes;
use clerk_snapshot::timestamp::Timestamp;
use serde_json::{Value, json};

use super::super::judge::Objects;

/// The prefix of everything that is written.
const PREFIX: &str = "clerk/";

/// A bucket, and its objects as last seen.
pub(super) struct Bucket {
    client: Client,
    name: String,
    /// By key, with the ETag: the same ETag means the same content.
    seen: BTreeMap<String, (String, Bytes)>,
}

impl Bucket {
    pub(super) fn of(aws: &SdkConfig, name: &str) -> Self {
        let path_style = aws_sdk_s3::config::Builder::from(aws).force_path_style(true).build();
        Self { client: Client::from_conf(path_style), name: name.to_owned(), seen: BTreeMap::new() }
    }

    /// The bucket in `SNAPSHOT_URL`.
    pub(super) fn url(&self) -> String {
        format!("s3://{}/{}", self.name, PREFIX.trim_end_matches('/'))
    }

    /// Every object, all of them as of one time.
    pub(super) async fn objects(&mut self) -> Objects {
        while !self.look().await {}
        self.seen.iter().map(|(key, (_, bytes))| (key.clone(), bytes.clone())).collect()
    }

    /// Lists and reads what has changed; false if it changed again meanwhile.
    async fn look(&mut self) -> bool {
        let request = self.client.list_objects_v2().bucket(&self.name).prefix(PREFIX);
        let listed = request.send().await.expect("a listing");
        assert_eq!(listed.is_truncated, Some(false), "more than a thousand objects");
        let mut seen = BTreeMap::new();
        for object in listed.contents.unwrap_or_default() {
            let (key, tag) = (object.key.expect("a key"), object.e_tag.expect("an ETag"));
            let name = key.strip_prefix(PREFIX).expect("as asked for").to_owned();
            if let Some(known) = self.seen.get(&name).filter(|(known, _)| *known == tag) {
                seen.insert(name, known.clone());
                continue;
            }
            let request = self.client.get_object().bucket(&self.name).key(key).if_match(&tag);
            let Ok(object) = request.send().await else { return false };
            let bytes = object.body.collect().await.expect("a body").into_bytes();
            seen.insert(name, (tag, bytes));
        }
        self.seen = seen;
        true
    }

    /// Writes an object.
    pub(super) async fn plant(&self, name: &str, bytes: impl Into<Bytes>) {
        let request = self.client.put_object().bucket(&self.name).key(format!("{PREFIX}{name}"));
        request.body(bytes.into().into()).send().await.expect("moto keeps it");
    }

    /// Removes an object.
    pub(super) async fn take_away(&self, name: &str) {
        let request = self.client.delete_object().bucket(&self.name).key(format!("{PREFIX}{name}"));
        request.send().await.expect("moto removes it");
    }

    /// Moves the times in the checkpoint back, as if this much time had passed.
    pub(super) async fn pass_time(&mut self, time: Duration) {
        let Some(mut checkpoint) = self.checkpoint().await else { return };
        let mut moved = false;
        for pointer in ["/lease/until", "/retry_at"] {
            if let Some(it) = checkpoint.pointer_mut(pointer)
                && let Some(moment) = moment(it)
            {
                *it = json!((moment - time).to_string());
                moved = true;
            }
        }
        if moved {
            self.plant("checkpoint.json", checkpoint.to_string()).await;
        }
    }

    /// Until when the checkpoint keeps an invocation from continuing.
    pub(super) async fn held_until(&mut self) -> Option<Timestamp> {
        let checkpoint = self.checkpoint().await?;
        let moments = ["/lease/until", "/retry_at"];
        moments.iter().filter_map(|pointer| moment(checkpoint.pointer(pointer)?)).max()
    }

    async fn checkpoint(&mut self) -> Option<Value> {
        let bytes = self.objects().await.remove("checkpoint.json")?;
        serde_json::from_slice(&bytes).ok()
    }
}

fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Until when a checkpoint says that no request may be sent to Clerk.
pub(super) fn retry_at(objects: &Objects) -> Option<Timestamp> {
    let checkpoint: Value = serde_json::from_slice(objects.get("checkpoint.json")?).ok()?;
    moment(&checkpoint["retry_at"])
}
