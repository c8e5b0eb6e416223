//! Promise: docs/threat-model.md is true. Every test it names exists, every threat has a test,
//! dependencies are pinned, and the function's role may do no more than it needs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every dependency comes from the one registry, with a pinned version and checksum, and the builds
/// that count refuse any other.
#[test]
fn dependencies_are_pinned_and_come_from_one_registry() {
    let lock = read("Cargo.lock");
    let (mut foreign, mut own) = (0, Vec::new());
    for package in lock.split("[[package]]").skip(1) {
        let said = |what: &str| package.lines().find_map(|line| line.strip_prefix(what));
        match said("source = ") {
            None => own.extend(said("name = ")),
            Some(source) => {
                foreign += 1;
                assert_eq!(source, r#""registry+https://github.com/rust-lang/crates.io-index""#);
                assert!(package.contains("\nchecksum = \""), "{package}");
            }
        }
    }
    assert!(foreign > 100, "{foreign} from the registry");
    let expected = ["clerk-access", "clerk-sandbox", "clerk-snapshot", "clerk-store", "clerk-sync"];
    assert_eq!(own, expected.map(|name| format!("{name:?}")));
    for (file, word) in [
        ("deny.toml", r#"unknown-registry = "deny""#),
        ("deny.toml", r#"unknown-git = "deny""#),
        (
            "scripts/check",
            "cargo-deny --all-features check --hide-inclusion-graph licenses sources",
        ),
        ("Makefile", "cargo test --workspace --locked"),
        ("Cargo.toml", r#"unsafe_code = "forbid""#),
    ] {
        assert!(read(file).contains(word), "{file}: {word}");
    }
}

/// The permissions of the deployed function, and no others.
#[test]
fn the_functions_role_may_do_what_it_needs_and_no_more() {
    let template = read("template.yaml");
    let (_, role) = template.split_once("\n  FunctionRole:").expect("the function's role");
    let (role, _) = role.split_once("\n  ScheduleRole:").expect("the scheduler's");
    let services = [
        "logs:",
        "secretsmanager:",
        "s3:",
        "kms:",
        "sts:",
        "lambda:",
        "iam:",
        "ec2:",
        "sqs:",
        "xray:",
        "states:",
        "sns:",
        "glue:",
        "athena:",
        "cloudwatch:",
        "events:",
    ];
    let actions: BTreeSet<&str> = role
        .lines()
        .map(|line| line.trim().trim_start_matches("- ").trim_start_matches("Action: "))
        .filter(|line| services.iter().any(|service| line.starts_with(service)))
        .filter(|line| !line.contains(": ") && !line.contains("prefix"))
        .collect();
    let needed = [
        // In a VPC, and for Lambda alone, which attaches the function.
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
        // Lambda uses the function's role to pass on its answers.
        "events:PutEvents",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "kms:Sign",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
        "secretsmanager:GetSecretValue",
        // Lambda uses the function's role to report final failures and to trace.
        "sqs:SendMessage",
        "sts:AssumeRole",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    ];
    assert_eq!(actions, BTreeSet::from(needed));
}

/// Every test that the threat model names exists.
#[test]
fn the_threat_model_names_tests_that_exist() {
    let document = read("docs/threat-model.md");
    let mut named = 0;
    for cell in document.split('`') {
        let Some((file, test)) = cell.split_once("::").filter(|(file, _)| file.ends_with(".rs"))
        else {
            continue;
        };
        named += 1;
        let source = read(file);
        assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
    }
    assert!(named > 40, "only {named} tests are named");
    // Every threat has a test.
    let tables = document.split("\n\n").filter(|block| block.contains("| shown by |"));
    for threat in tables.flat_map(|table| table.lines().skip(2)) {
        assert!(threat.contains(".rs::"), "no test is named: {threat}");
    }
}
