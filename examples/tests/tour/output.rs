//! What the tour prints, to whom, and which descriptors its processes have.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};

use serde_json::Value;

use crate::files::Folder;
use crate::run::{PATIENCE, Run, command, run, until};

#[test]
fn json_is_one_object_and_nothing_else() {
    let folder = Folder::new();
    let path = folder.file("file", b"a b c\nd\n");
    let end = run(["--json".as_ref(), path.as_os_str()]).succeeded();
    assert_eq!(end.stdout.lines().count(), 1, "{end:?}");
    let Ok(Value::Object(report)) = serde_json::from_str(&end.stdout) else { panic!("{end:?}") };
    let number = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("{name}: {end:?}"));
    assert_eq!((number("lines"), number("words"), number("bytes")), (2, 4, 8));
    assert_eq!(report["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(report["direct_link"], Value::Bool(true));
    assert_eq!(number("proxies_left"), 0);
    assert!(number("typed_rtt_ns") > 0 && number("socketpair_rtt_ns") > 0);
    let loss = report["peer_loss_ms"].as_f64().unwrap();
    assert!(loss > 0.0 && loss < 2000.0, "{end:?}");
}

#[test]
fn a_file_may_begin_with_dashes() {
    let folder = Folder::new();
    folder.file("--json", b"x");
    folder.file("-x", b"xy");
    let here = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.current_dir(folder.path());
        Run::start(command).end(PATIENCE).succeeded().stdout
    };
    assert!(here(&["--", "--json"]).contains("\ncounts lines=0 words=1 bytes=1 "));
    assert!(here(&["--json", "--", "-x"]).starts_with('{'));
}

#[test]
fn help_is_no_mistake() {
    let end = run(["--help"]).succeeded();
    assert!(end.stdout.starts_with("usage: tour "), "{end:?}");
}

#[test]
fn a_reader_that_leaves_is_no_accident() {
    let folder = Folder::new();
    let path = folder.file("file", b"x");
    for (json, lines) in [(&[][..], 0), (&[], 1), (&[], 5), (&["--json"], 0)] {
        let (read, write) = std::io::pipe().unwrap();
        let mut command = command(json);
        command.arg(&path).stdout(write);
        let run = Run::start_with_stdout(command);
        // The reader is dropped with what it has not read, as `tour FILE | head` does it.
        assert_eq!(BufReader::new(read).lines().take(lines).flatten().count(), lines);
        run.end(PATIENCE).succeeded();
    }
}

#[test]
fn output_that_cannot_be_written_is_said() {
    let folder = Folder::new();
    let path = folder.file("file", b"x");
    for json in [&[][..], &["--json"]] {
        let mut command = command(json);
        command.arg(&path).stdout(File::options().write(true).open("/dev/full").unwrap());
        let end = Run::start_with_stdout(command).end(PATIENCE);
        assert_eq!(end.code(), 3, "{end:?}");
        assert!(end.problem().contains("No space left"), "{end:?}");
    }
}

#[test]
fn every_process_has_the_descriptors_it_needs_and_no_other() {
    let folder = Folder::new();
    let (path, held) = folder.fifo();
    let mut run = Run::start(command([&path]));
    let (b, c) = (run.worker("B").unwrap(), run.worker("C").unwrap());
    (&held).write_all(b"counting\n").unwrap();
    let node = ["anon_inode:[eventfd]", "anon_inode:[eventpoll]"].map(str::to_owned);
    let linked_to = |peers| node.iter().cloned().chain(vec!["socket".to_owned(); peers]);
    let fifo = path.canonicalize().unwrap().display().to_string();
    let expected = [
        linked_to(2).collect::<Vec<_>>(),
        [fifo].into_iter().chain(linked_to(2)).collect(),
        linked_to(2).collect(),
    ];
    // What this test itself passes on, because whoever runs it does, is not the tour's doing.
    let mut inherited = descriptors(std::process::id(), &[]);
    inherited.retain(|what| what.starts_with("inheritable"));
    let mut seen = Vec::new();
    // B and C link up while B counts.
    let settled = until(PATIENCE, || {
        seen = [run.pid(), b, c].map(|pid| descriptors(pid, &inherited)).to_vec();
        (seen == expected).then_some(())
    });
    assert!(settled.is_some(), "{seen:#?} is not {expected:#?}");
    // A FIFO ends when its last writer has closed it.
    drop(held);
    let end = run.end(PATIENCE).succeeded();
    assert!(end.stdout.contains("\ncounts lines=1 words=1 bytes=9 "), "{end:?}");
}

/// What the descriptors of a process are above the standard streams, but for some, in order. Those
/// that a program which it runs would inherit are marked.
fn descriptors(pid: u32, but: &[String]) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().filter_map(Result::ok);
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let described = numbers.filter(|number| *number > 2).filter_map(|number| {
        let target = fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()?.display().to_string();
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?.trim();
        let flags = u32::from_str_radix(flags, 8).unwrap();
        let is_inheritable = flags & rustix::fs::OFlags::CLOEXEC.bits() == 0;
        let what = if target.starts_with("socket:") { "socket".to_owned() } else { target };
        Some(if is_inheritable { format!("inheritable {what}") } else { what })
    });
    let mut described: Vec<_> = described.filter(|what| !but.contains(what)).collect();
    described.sort();
    // In the order in which the test lists them: by path first, then by kind.
    described.sort_by_key(|what| !what.starts_with('/'));
    described
}
