//! `towpath` as a person or a script runs it, where something is wrong before any stack is asked: what it says, and how it ends.
//! Must not know: any stack; nothing is asked of a network but of a stub on this machine.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// With nothing in the environment but what a stack's address needs.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_towpath"));
    command.args(arguments).env_clear().current_dir(env!("CARGO_TARGET_TMPDIR"));
    command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "eu-west-1")]);
    command.envs([("AWS_MAX_ATTEMPTS", "1"), ("TERM", "xterm-256color")]);
    command
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it ended by itself"), text(&output.stdout), text(&output.stderr))
}

fn towpath(arguments: &[&str]) -> (i32, String, String) {
    said(&command(arguments).output().expect("it can be started"))
}

/// A template in which everything is missing, by its path. It is written once: the tests run at the same time, and what is being
/// written is, for a moment, an empty file.
static TEMPLATE: LazyLock<String> = LazyLock::new(|| {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("questions-template.json");
    let text =
        r#"{"Parameters":{"Alarms":{"Type":"String","Default":"all","AllowedValues":["all","none"]}},"Resources":{}}"#;
    std::fs::write(&path, text).expect("it can be written");
    path.display().to_string()
});

#[test]
fn a_question_that_names_no_stack_or_two_ends_with_2_and_says_what_to_give() {
    for verb in
        [&["status"][..], &["dlq", "list"], &["doctor"], &["replay", "--consumer", "crm-timeline", "--since", "1h"]]
    {
        let (code, out, error) = towpath(verb);
        assert!(
            code == 2 && out.is_empty() && error.contains("which stack? give --stack NAME"),
            "{verb:?} {code} {error}"
        );
    }
    let (code, _, error) = towpath(&["status", "--stack", "a", "--stack-file", "b"]);
    assert!(code == 2 && error.contains("two stacks are named"), "{code} {error}");
}

#[test]
fn every_parked_row_is_meant_only_by_who_says_all_and_nothing_is_done_without_yes() {
    let all = ["dlq", "retry", "--stack", "a", "--who", "ann", "--why", "mended", "--yes"];
    let (code, _, error) = towpath(&all);
    assert!(code == 2 && error.contains("say --all"), "{code} {error}");
    let (code, _, error) = towpath(&["dlq", "retry", "--stack", "a", "--all", "--yes"]);
    assert!(code == 2 && error.contains("--why"), "who does it, and why, is kept on record: {code} {error}");
}

#[test]
fn what_is_misspelt_or_contradicts_itself_ends_with_2() {
    for wrong in [
        &["stauts"][..],
        &["dlq", "retry", "--rate", "fast"],
        &["replay", "--consumer", "crm-timeline", "--since", "yesterday"],
        &["dlq", "retry", "--all", "--consumer", "inventory", "--stack", "a"],
        &["doctor", "--parameter", "Alarms=none"],
    ] {
        let (code, _, error) = towpath(wrong);
        assert!(code == 2 && !error.is_empty(), "{wrong:?} {code} {error}");
    }
}

#[test]
fn a_stack_of_another_account_or_region_is_not_found_and_the_region_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (mut stream, mut asked) = (stream, [0; 8192]);
            let body = "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>\
                        <Message>Stack with id shop does not exist</Message></Error></ErrorResponse>";
            let length = body.len();
            let answer =
                format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            let heard = stream.read(&mut asked).and_then(|_| stream.write_all(answer.as_bytes()));
            assert!(heard.is_ok(), "{heard:?}");
        }
    });
    let mut command = command(&["status", "--stack", "shop"]);
    let (code, out, error) = said(&command.env("AWS_ENDPOINT_URL", address).output().expect("it can be started"));
    assert!(code == 1 && out.is_empty(), "{code} {out} {error}");
    for word in ["the stack shop cannot be read in eu-west-1", "the region and your credentials", "does not exist"] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn findings_end_with_3_and_no_terminal_gets_no_colours_and_no_bar() {
    let (code, out, error) = towpath(&["doctor", "--template", &TEMPLATE]);
    assert!(code == 3 && out.contains("findings, ") && error.is_empty(), "{code} {out} {error}");
    assert!(!out.contains('\u{1b}') && !out.contains('\r'), "{out:?}");
    let json = towpath(&["doctor", "--json", "--template", &TEMPLATE]);
    let report: serde_json::Value = serde_json::from_str(&json.1).expect("JSON and nothing else");
    assert!(json.0 == 3 && report["findings"].as_array().is_some_and(|all| !all.is_empty()));
}

#[test]
fn a_stage_without_alarms_is_a_note_and_no_finding() {
    let rules = |given: &[&str]| {
        let (_, out, _) = towpath(&[&["doctor", "--json", "--template", &TEMPLATE], given].concat());
        let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        let found = report["findings"].as_array().expect("a list").iter().filter(|it| it["rule"] == "alarms").count();
        (found > 0, report["notes"].as_array().expect("a list").len())
    };
    assert_eq!((rules(&[]), rules(&["--parameter", "Alarms=none"])), ((true, 0), (false, 1)));
    for wrong in ["Alarms", "Alarms=noen", "Alarm=none"] {
        let (code, _, error) = towpath(&["doctor", "--template", &TEMPLATE, "--parameter", wrong]);
        assert!(code == 2 && error.contains(wrong), "{code} {error}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    for arguments in [&["doctor", "--rules"][..], &["doctor", "--rules", "--json"], &["--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = command(arguments).stdout(writer).stderr(Stdio::piped()).output().expect("it can be started");
        let (code, _, error) = said(&output);
        assert!(code == 0 && error.is_empty(), "{arguments:?} {code} {error}");
    }
}
