//! What the tour counts, compared with a plain count and with `wc` and `sha256sum`.

use std::path::Path;
use std::process::Command;

use crate::files::{Folder, Seeded};
use crate::run::{not_text, run};

const CHUNK: usize = 64 * 1024;

fn expected(path: &Path, content: &[u8]) -> String {
    let lines = content.iter().filter(|byte| **byte == b'\n').count();
    let is_space = |byte: &u8| matches!(*byte, b' ' | b'\t'..=b'\r');
    let runs = content.split(is_space);
    let words = runs.filter(|run| run.iter().any(u8::is_ascii_graphic)).count();
    let bytes = content.len();
    let wc = tool("wc", &["-lc"], path);
    // Words are left out: newer versions of wc count them in another way.
    assert_eq!(wc[..2], [lines.to_string(), bytes.to_string()], "wc and the test agree");
    let sha256 = &tool("sha256sum", &[], path)[0];
    format!("counts lines={lines} words={words} bytes={bytes} sha256={sha256}")
}

/// The words that a program prints of a file, which it gets as its standard input.
fn tool(name: &str, arguments: &[&str], path: &Path) -> Vec<String> {
    let file = std::fs::File::open(path).unwrap();
    let output = Command::new(name).args(arguments).env("LC_ALL", "C").stdin(file).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

fn check(path: &Path, content: &[u8]) {
    let end = run([path]).succeeded();
    let counts: Vec<_> = end.stdout.lines().filter(|line| line.starts_with("counts ")).collect();
    assert_eq!(counts, [expected(path, content)]);
}

#[test]
fn files_of_any_bytes_are_counted_as_wc_counts_them() {
    let folder = Folder::new();
    let every: Vec<u8> = (0..=255).cycle().take(3 * 256).collect();
    let cases: [&[u8]; 8] = [
        b"",
        b"x",
        b"\n",
        b"\0",
        b"one two\nthree",
        b"\x01 \x7f\xff\t\x80x \xc3\xa9\xa0\r\n\x0b\x0c word\n",
        &every,
        &Seeded(1).bytes(3 * CHUNK + 17),
    ];
    for (number, content) in cases.into_iter().enumerate() {
        check(&folder.file(number.to_string(), content), content);
    }
}

#[test]
fn words_and_lines_cross_the_borders_of_chunks() {
    let folder = Folder::new();
    // A word over each border, one that ends at a border, one that starts at a border, none there.
    let mut content = vec![b'a'; 5 * CHUNK];
    for place in [10, CHUNK - 10, CHUNK + 10, 2 * CHUNK, 3 * CHUNK - 1, 4 * CHUNK] {
        content[place] = b' ';
    }
    content[4 * CHUNK - 1] = b'\n';
    check(&folder.file("borders", &content), &content);
    let mut content = vec![0xff; 2 * CHUNK];
    content[CHUNK - 1] = b'x';
    check(&folder.file("one word", &content), &content);
}

#[test]
fn names_may_be_anything() {
    let folder = Folder::new();
    let content = b"two words\n";
    check(&folder.file("a path with  spaces", content), content);
    check(&folder.file(not_text(), content), content);
    check(&folder.file("line\ncounts lines=0", content), content);
}
