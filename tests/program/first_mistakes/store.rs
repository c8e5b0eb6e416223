//! Buckets that are missing, elsewhere, somebody else's, full, or of a store that does less than S3; and each permission
//! that can be forgotten.

use std::sync::Arc;

use super::{Mistake, Stranger, Told, judge_all};
use crate::support::aws_proxy::{AwsCall, AwsEffect, AwsFault, AwsProxy, Target};
use crate::support::moto::Moto;
use crate::support::s3_proxy::{Oddity, S3Proxy};
use crate::support::stand_in::{StandIn, answer};

const fn wrong(
    what: &'static str,
    play: fn() -> super::Play,
    says: &'static str,
    to_do: &'static str,
) -> Mistake {
    Mistake { what, play, status: 1, name: "StoreUnavailable", says, to_do }
}

pub(super) const MISTAKES: [Mistake; 10] = [
    wrong(
        "names a bucket that does not exist",
        || Box::pin(missing_bucket()),
        "bucket mistakes-none does not exist",
        "create it or correct SNAPSHOT_URL",
    ),
    wrong(
        "names a bucket of another region",
        || Box::pin(answered("301 Moved Permanently", "PermanentRedirect", Some("eu-west-1"))),
        "is in another AWS region than us-east-1",
        "set AWS_REGION=eu-west-1",
    ),
    wrong(
        "names somebody else's bucket",
        || Box::pin(answered("403 Forbidden", "AccessDenied", None)),
        "access denied; allow s3:GetObject on the objects below SNAPSHOT_URL",
        "If the bucket is not yours, correct SNAPSHOT_URL.",
    ),
    wrong(
        "has filled the bucket",
        || Box::pin(answered("507 Insufficient Storage", "XMinioStorageFull", None)),
        "the store is full",
        "raise the quota of the bucket or account, or remove old snapshots",
    ),
    wrong(
        "may not read objects",
        || Box::pin(not_allowed("mistakes-get", AwsCall::Get)),
        "access denied; allow s3:GetObject on the objects below SNAPSHOT_URL",
        "without s3:ListBucket on the prefix, S3 also answers this for an object that does not exist",
    ),
    wrong(
        "may not write objects",
        || Box::pin(not_allowed("mistakes-put", AwsCall::Put)),
        "access denied; allow s3:PutObject and s3:GetObject on the objects below SNAPSHOT_URL",
        "If the bucket is not yours, correct SNAPSHOT_URL.",
    ),
    wrong(
        "may not list the bucket",
        || Box::pin(not_allowed("mistakes-list", AwsCall::List)),
        "access denied; allow s3:ListBucket on the bucket, for SNAPSHOT_URL's prefix",
        "If the bucket is not yours, correct SNAPSHOT_URL.",
    ),
    Mistake {
        what: "may not delete objects",
        play: || Box::pin(not_allowed_to_delete()),
        status: 1,
        name: "",
        says: "access denied; allow s3:DeleteObject and s3:GetObject on the objects below SNAPSHOT_URL",
        to_do: "allow s3:DeleteObject",
    },
    wrong(
        "uses a store without conditional writes",
        || Box::pin(odd_store("mistakes-conditions", Oddity::IgnoresConditions)),
        "the store ignores If-None-Match",
        "see \"What a store must be able to do\" in docs/deploy.md",
    ),
    wrong(
        "uses a store that refuses checksums",
        || Box::pin(odd_store("mistakes-checksums", Oddity::NoChecksums)),
        "the store answered 501 NotImplemented",
        "set AWS_REQUEST_CHECKSUM_CALCULATION and AWS_RESPONSE_CHECKSUM_VALIDATION to when_required",
    ),
];

async fn missing_bucket() -> Option<Told> {
    let stranger = Stranger::new().await;
    Told::answered(&stranger.program_for_bucket("mistakes-none", Moto::shared().url()).run().await)
}

/// An S3 that answers every request like this.
async fn answered(status: &'static str, code: &str, region: Option<&str>) -> Option<Told> {
    let stranger = Stranger::new().await;
    let body = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
    let mut headers = vec![("content-type", "application/xml")];
    headers.extend(region.map(|region| ("x-amz-bucket-region", region)));
    let refusal = answer(status, &headers, &body);
    let aws = StandIn::new(move |_| refusal.clone()).await;
    Told::answered(&stranger.program_for_bucket("acme", &aws.url()).run().await)
}

/// A bucket in which one kind of call is denied.
async fn not_allowed(bucket: &str, call: AwsCall) -> Option<Told> {
    let (stranger, proxy) = (Stranger::new().await, denying(bucket, call).await);
    let entrance = proxy.entrance(&Arc::new(Target::default())).await;
    Told::answered(&stranger.program_for_bucket(bucket, entrance.url()).run().await)
}

/// A sync needs no deletions, so it is the check that finds out.
async fn not_allowed_to_delete() -> Option<Told> {
    let bucket = "mistakes-delete";
    let (stranger, proxy) = (Stranger::new().await, denying(bucket, AwsCall::Delete).await);
    let entrance = proxy.entrance(&Arc::new(Target::default())).await;
    Told::checked(
        &stranger.program_for_bucket(bucket, entrance.url()).argument("check").run().await,
    )
}

async fn denying(bucket: &str, call: AwsCall) -> AwsProxy {
    Moto::shared().bucket(bucket).await;
    let proxy = AwsProxy::to(Moto::shared());
    let effect = AwsEffect::Refuse(403, "AccessDenied");
    proxy.fault(AwsFault { call, key_part: "", first: 1, last: u64::MAX, effect });
    proxy
}

async fn odd_store(bucket: &str, oddity: Oddity) -> Option<Told> {
    let (stranger, moto) = (Stranger::new().await, Moto::shared());
    moto.bucket(bucket).await;
    let proxy = S3Proxy::before(moto.url(), oddity).await;
    Told::answered(&stranger.program_for_bucket(bucket, &proxy.url()).run().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_buckets_and_permissions_are_explained() {
    judge_all(&MISTAKES).await;
}
