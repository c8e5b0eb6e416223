//! What is done with every byte of a page, stage by stage: decompress, parse, translate, digest,
//! compress.
//!
//! `cargo bench --bench stages` compares with the run before; throughput is in bytes that the stage
//! is given. Pages are the synthetic Clerk's, 500 rows each, of the shape that `make measure` copies.

#![expect(clippy::expect_used, reason = "a failed assumption in a benchmark is a failed benchmark")]
#![allow(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use clerk_sandbox::{Population, Sandbox};
use clerk_snapshot::buffers::Buffers;
use clerk_snapshot::compression::Compression;
use clerk_snapshot::digest::ContentDigest;
use clerk_snapshot::part::PartBuilder;
use clerk_snapshot::resource::{Dataset, Resource};
use clerk_sync::clerk::gunzip::gunzip;
use clerk_sync::clerk::transport::MAX_BODY_BYTES;
use clerk_sync::clerk::wire::decode_page;
use clerk_sync::clerk::wire::{Organization, OrganizationMembership, OrganizationRole, User};
use clerk_sync::clock::Clock;
use clerk_sync::lists::page::PageContext;
use clerk_sync::lists::table::endpoint;
use clerk_sync::translate::{RoleCatalogue, Row as _, Translation};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const KEY: &str = "sk_test_sandbox";

/// A page as it arrives, and what its rows are translated with.
struct Page {
    name: &'static str,
    resource: Resource,
    dataset: Dataset,
    compressed: Bytes,
    body: Bytes,
    context: PageContext,
}

fn pages() -> Vec<Page> {
    let sandbox = Sandbox::new(Population {
        users: 5_000,
        organizations: 500,
        memberships: 10_000,
        ..Population::default()
    });
    let roles = page_at(&sandbox, "/v1/organization_roles?limit=500");
    let roles = gunzip(&roles, MAX_BODY_BYTES, &Buffers::default()).expect("gzip").expect("small");
    let roles = decode_page::<OrganizationRole<'_>>(&roles).expect("a page of roles");
    let roles: Vec<_> = roles.rows.iter().filter_map(|role| role.role()).collect();
    let lists = [
        ("users", Resource::Users, Dataset::Users),
        ("organizations", Resource::Organizations, Dataset::Entitlements),
        ("memberships", Resource::OrganizationMemberships, Dataset::Grants),
    ];
    let page = |(name, resource, dataset)| {
        let path = endpoint(resource).path;
        let path = format!("/v1{path}?order_by=created_at&limit=500&include_members_count=true");
        let compressed = page_at(&sandbox, &path);
        let body = gunzip(&compressed, MAX_BODY_BYTES, &Buffers::default())
            .expect("gzip")
            .expect("not too large");
        let datasets =
            endpoint(resource).destinations.iter().map(|destination| destination.dataset).collect();
        let translation =
            Translation { roles: RoleCatalogue::from(roles.clone()), ..Translation::default() };
        let context = PageContext {
            translation,
            datasets,
            id_index: Arc::default(),
            buffers: Buffers::default(),
        };
        Page { name, resource, dataset, compressed, body, context }
    };
    lists.map(page).into()
}

fn page_at(sandbox: &Sandbox, path: &str) -> Bytes {
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("accept-encoding", "gzip")];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let answer = runtime.expect("a runtime").block_on(sandbox.get(path, &headers));
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{path}");
    answer.body
}

fn stages(criterion: &mut Criterion) {
    for page in pages() {
        let mut group = criterion.benchmark_group(page.name);

        group.throughput(Throughput::Bytes(page.body.len() as u64));
        group.bench_function("decompress", |bencher| {
            bencher
                .iter(|| gunzip(black_box(&page.compressed), MAX_BODY_BYTES, &Buffers::default()));
        });
        group.bench_function("parse", |bencher| match page.resource {
            Resource::Users => bencher.iter(|| rows_of::<User<'_>>(black_box(&page.body))),
            Resource::Organizations => {
                bencher.iter(|| rows_of::<Organization<'_>>(black_box(&page.body)));
            }
            _ => bencher.iter(|| rows_of::<OrganizationMembership<'_>>(black_box(&page.body))),
        });
        let read = || endpoint(page.resource).read(black_box(&page.body), &page.context);
        group.bench_function("parse and translate", |bencher| bencher.iter(read));

        let read = read().expect("a page");
        let lines = read.records.bytes(page.dataset);
        group.throughput(Throughput::Bytes(lines.len() as u64));
        group.bench_function("digest", |bencher| {
            bencher.iter(|| {
                let mut digest = ContentDigest::default();
                black_box(lines)
                    .split_inclusive(|&byte| byte == b'\n')
                    .for_each(|line| digest.add_line(line));
                digest
            });
        });
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let now = Clock::system().now();
            group.bench_function(format!("digest and compress, {compression:?}"), |bencher| {
                bencher.iter(|| {
                    let mut part = PartBuilder::new(compression).expect("memory");
                    part.add_lines(black_box(lines), (now, now)).expect("memory");
                    part.finish()
                });
            });
        }
        group.finish();
    }
}

fn rows_of<'a, R: serde::Deserialize<'a>>(body: &'a [u8]) -> usize {
    decode_page::<R>(body).map_or(0, |page| page.rows.len())
}

criterion_group!(benches, stages);
criterion_main!(benches);
