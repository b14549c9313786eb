//! What the tour does not do: one line says so, and nobody was started for it or is left.

use std::path::Path;

use crate::files::Folder;
use crate::run::{End, run};

fn refused(end: &End, what: &str) {
    assert_eq!((end.code(), end.stdout.as_str()), (2, ""), "{end:?}");
    assert!(end.problem().contains(what), "{end:?}");
}

#[test]
fn a_file_that_cannot_be_opened_is_refused() {
    let folder = Folder::new();
    for json in [&[][..], &["--json"]] {
        let run = |path: &Path| run(json.iter().map(Path::new).chain([path]));
        refused(&run(folder.path()), "directory");
        refused(&run(&folder.path().join("missing")), "missing: No such file");
        refused(&run(&folder.path().join("missing\nline")), "No such file");
        refused(&run(Path::new("")), "No such file");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    // Even who may read everything can open this, and cannot read from its start.
    let end = run(["--json", "/proc/self/mem"]);
    refused(&end, "/proc/self/mem");
    assert!(end.problem().contains("Input/output error"), "{end:?}");
    assert_eq!(run(["/proc/self/mem"]).code(), 2);
}

#[test]
fn bad_arguments_are_refused() {
    refused(&run(["--jsno"]), "--jsno");
    refused(&run(["one", "two"]), "FILE");
}
