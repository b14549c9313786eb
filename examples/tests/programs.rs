//! Every example tells its whole story by itself, soon, and succeeds.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What each of them promises, whatever else the machine does.
const PROMISE: Duration = Duration::from_secs(20);

/// Runs an example to its end, and gives what it printed.
fn run(program: &str) -> String {
    let mut command = Command::new(program);
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PROMISE {
            child.kill().unwrap();
            panic!("still running: {:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success() && stderr.is_empty(), "{}\n{stdout}\n{stderr}", output.status);
    stdout
}

#[track_caller]
fn says(text: &str, line: &str) {
    assert!(text.lines().any(|it| it == line), "no line `{line}` in:\n{text}");
}

#[test]
fn words() {
    let text = run(env!("CARGO_BIN_EXE_words"));
    let expected = "progress: 1000 lines\n\
                    progress: 2000 lines\n\
                    progress: 3000 lines\n\
                    counted: 3000 lines, 27000 words\n\
                    the worker says: line 1 is not text\n\
                    the call failed: no reply arrived in time\n\
                    the call failed: the server is gone: ";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn keyvalue() {
    let text = run(env!("CARGO_BIN_EXE_keyvalue"));
    assert_eq!(text.matches("a client that wrote 250 keys ended: exit status: 0").count(), 4);
    says(&text, "told of 500 changes under fruit/");
    says(&text, "fruit/writer-2/8 is Some(\"number 8\")");
    says(&text, "told of 0 changes after the end");
    says(&text, "subscriptions left: 0");
    assert!(
        text.contains("the listing begins with [(\"stone/writer-0/1\", \"number 1\"), "),
        "{text}"
    );
    says(&text, "the store says: a key has 64 bytes at most");
    says(&text, "the server ended: exit status: 0");
    assert!(text.contains("and then: the server is gone: "), "{text}");
}

#[test]
fn pipeline() {
    let text = run(env!("CARGO_BIN_EXE_pipeline"));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    for (line, place) in lines.iter().zip(["as near as it is", "2 ms away"]) {
        assert!(line.starts_with(&format!("server {place}: step by step ")), "{text}");
    }
    assert!(lines[2].starts_with("pipelining is faster where a wait takes more than "), "{text}");
    assert_eq!(lines[3], "the call that failed: there is no folder `absent`");
    for (line, call) in lines[4..].iter().zip(["the call behind it", "the call behind that"]) {
        let cause = "the call that this proxy comes from failed: ";
        assert!(line.starts_with(&format!("{call}: {cause}")), "{text}");
    }
}

#[test]
fn plugins() {
    let text = run(env!("CARGO_BIN_EXE_plugins"));
    says(&text, "the plug-in `frame` is no filter: the other side does not offer `example.Filter`");
    says(&text, "| TWO PLUG-INS MADE THIS |");
    says(&text, "`frame` reaches the filter at the node of `shout`: true");
    says(&text, "the host passes nothing on: true");
    assert!(text.contains("`frame` lost its filter: node "), "{text}");
    assert!(text.contains("and says: the server is gone: node "), "{text}");
}

#[test]
fn chat() {
    let text = run(env!("CARGO_BIN_EXE_chat"));
    says(&text, "Ada is refused: somebody called Ada is here already");
    for guest in ["the host", "Ada", "Linus", "Grace"] {
        says(&text, &format!("[{guest}] Ada: Hello Grace"));
    }
    let place = |line: &str| text.find(line).unwrap_or_else(|| panic!("no `{line}`: {text}"));
    let story = [
        "[Ada] Linus joins",
        "[Ada] Grace joins",
        "[Ada] Ada: Hello Grace",
        "[Ada] Grace: Hello Ada, and good-bye",
        "[Ada] Grace leaves",
        "[Ada] Linus: I stay",
        "[Ada] Linus is gone: ",
    ];
    assert!(story.is_sorted_by_key(|line| place(line)), "{text}");
    assert!(place("[the host] Linus is gone: ") < place("[the host] Ada leaves"), "{text}");
    assert_eq!(text.matches("a guest ended: exit status: 0").count(), 2, "{text}");
}

#[test]
fn upgrade() {
    let text = run(env!("CARGO_BIN_EXE_upgrade"));
    let pair = |client, server| {
        let head = format!("client {client}, server {server}:\n");
        let (_, rest) = text.split_once(&head).unwrap_or_else(|| panic!("no {head} in {text}"));
        rest.split("client ").next().unwrap().to_owned()
    };
    let seen = "Forecast { degrees: 9, sky: Clouds { percent: 60 } }";
    says(&pair("v1", "v1"), &format!("  the server took: {seen}"));
    let old_to_new = pair("v1", "v2");
    says(&old_to_new, "  the interface is version 1 here, 2 there");
    says(&old_to_new, "  at sea: Forecast { degrees: 17, sky: Other }");
    let seen = "Forecast { degrees: 9, sky: Clouds { percent: 60 }, wind: None }";
    says(&old_to_new, &format!("  the server took: {seen}"));
    let new_to_old = pair("v2", "v1");
    says(&new_to_old, "  today: Forecast { degrees: 17, sky: Clear, wind: None }");
    says(&new_to_old, "  the server took: Forecast { degrees: 9, sky: Other }");
    assert!(
        new_to_old.contains("  no days ahead: the server does not know the method `Weather::days`")
    );
    let new_to_new = pair("v2", "v2");
    says(&new_to_new, "  the server took: Forecast { degrees: 9, sky: Fog, wind: Some(40) }");
    says(&new_to_new, "  3 days ahead");
}
