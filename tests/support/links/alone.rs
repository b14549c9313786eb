//! Tests that look at their whole process, and so have one of their own.

use std::process::Command;

/// Runs an ignored test of this program in a process of its own.
pub(crate) fn run_alone(test: &str) {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args(["--exact", test, "--ignored"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// How many regions this process maps.
pub(crate) fn mappings() -> usize {
    mappings_of("self")
}

/// How many regions a process maps, whose number or other name this is.
pub(crate) fn mappings_of(process: &str) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    maps.lines().filter(|line| line.contains("memfd:ipcz")).count()
}
