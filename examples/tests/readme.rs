//! The README shows a program that exists, and that does what it says.

use std::process::Command;

const README: &str = include_str!("../../README.md");
const HELLO: &str = include_str!("../src/bin/hello.rs");

#[test]
fn the_readme_shows_the_program_as_it_is() {
    let (_, rest) = README.split_once("```rust,no_run\n").expect("the README shows a program");
    let (shown, _) = rest.split_once("```\n").expect("and ends it");
    assert!(HELLO.ends_with(shown), "README.md and examples/src/bin/hello.rs differ");
    assert!(shown.lines().count() < 30, "the program has to fit on a page");
}

#[test]
fn the_program_greets() {
    let output = Command::new(env!("CARGO_BIN_EXE_hello")).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    assert!(text.starts_with("Hello world, this is process "), "{text:?}");
    assert!(output.status.success() && output.stderr.is_empty());
}
