//! The program reports when it is ready, stops on request, and names invalid arguments.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise is a failed test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

#[path = "../../../tests/support/executable.rs"]
mod executable;

use executable::{copy_program, write_program};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_clerk-sandbox"))
}

#[test]
fn bad_arguments_end_with_status_2_and_their_name() {
    for (arguments, named) in [
        (&["--userz", "3"][..], "--userz"),
        (&["--users", "many"], "--users: give a whole number"),
        (&["--address", "8080"], "--address: give HOST:PORT"),
        (&["--fault", "/v1/users explode"], "explode"),
    ] {
        let output = program().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains(named), "{named}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_do() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let output = program().args(["--users", "1", "--address", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("another program already listens on {address}; ")), "{said}");
    assert!(said.contains("--address 127.0.0.1:0"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_demo_without_the_other_programs_says_what_to_do() {
    let folder = std::env::temp_dir().join(format!("clerk-sandbox-alone-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let alone = folder.join("clerk-sandbox");
    copy_program(env!("CARGO_BIN_EXE_clerk-sandbox").as_ref(), &alone);
    let output = Command::new(&alone).arg("demo").current_dir(&folder).output().unwrap();
    let left = std::fs::read_dir(&folder).unwrap().count();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("needs clerk-sync in the folder of clerk-sandbox"), "{said}");
    assert!(said.contains("unpack the whole archive"), "{said}");
    assert!(output.stdout.is_empty());
    assert_eq!(left, 1, "nothing is written");
}

#[test]
fn help_and_version_are_answered() {
    let help = program().arg("--help").output().unwrap();
    assert!(help.status.success() && help.stdout.starts_with(b"Serves a synthetic Clerk instance"));
    let version = program().arg("--version").output().unwrap();
    assert_eq!(
        version.stdout,
        concat!("clerk-sandbox ", env!("CARGO_PKG_VERSION"), "\n").as_bytes()
    );
}

#[cfg(unix)]
#[test]
fn it_prints_its_url_serves_and_summarises_on_sigterm() {
    let mut child = program()
        .args(["--users", "5", "--key", "sk_test_other"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").unwrap();

    let mut stream = TcpStream::connect(address).unwrap();
    let request = "GET /v1/users/count HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\n\
                   authorization: Bearer sk_test_other\r\nclerk-api-version: 2026-05-12\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("{\"object\":\"total_count\",\"total_count\":5}"), "{answer}");

    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let summary = String::from_utf8(output.stderr).unwrap();
    assert_eq!(summary, "clerk-sandbox: 1 requests, 0 refused by the limit (429), 0 violations\n");
}

/// clerk-sync has logged what is wrong with the folder, so the demo only says what to do.
#[cfg(unix)]
#[test]
fn a_demo_that_cannot_keep_its_copy_says_once_what_is_wrong_and_names_the_way_out() {
    let folder = std::env::temp_dir().join(format!("clerk-sandbox-kept-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let sandbox = folder.join("clerk-sandbox");
    copy_program(env!("CARGO_BIN_EXE_clerk-sandbox").as_ref(), &sandbox);
    let fails = |name: &str| {
        let answer = format!(r#"{{"errorType":"{name}","errorMessage":"permission denied"}}"#);
        let script =
            format!("#!/bin/sh\necho 'ERROR permission denied' >&2\necho '{answer}'\nexit 1\n");
        for program in ["clerk-sync", "clerk-access"] {
            write_program(&folder.join(program), &script);
        }
        let output = Command::new(&sandbox).args(["demo", "kept"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.matches("permission denied").count(), 1, "{said}");
        said
    };
    let (of_the_store, of_clerk) = (fails("StoreUnavailable"), fails("ClerkUnavailable"));
    std::fs::remove_dir_all(&folder).unwrap();
    let way_out = "name another folder: clerk-sandbox demo FOLDER";
    assert!(of_the_store.contains("cannot be kept in kept, see above"), "{of_the_store}");
    assert!(of_the_store.contains(way_out), "{of_the_store}");
    assert!(
        of_clerk.contains("clerk-sync sync ended with ClerkUnavailable, see above"),
        "{of_clerk}"
    );
    assert!(!of_clerk.contains(way_out), "{of_clerk}");
}
