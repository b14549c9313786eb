//! Who may import whom, as ARCHITECTURE.md says: crates hold most of it, this holds the rest.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A part of the `ipcz` crate, and the parts that it may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("sync.rs", &[]),
    ("os_handle.rs", &[]),
    ("wire", &[]),
    ("shm", &[]),
    ("driver", &["shm", "OsHandle"]),
    ("shell", &["driver", "shm", "sync", "wire", "OsHandle"]),
];

fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_path_buf()];
    }
    let entries = fs::read_dir(path).expect("the folder is there");
    entries.flat_map(|entry| sources(&entry.unwrap().path())).collect()
}

/// The first names behind `crate::` in code, comments left out.
fn imports(source: &str) -> BTreeSet<String> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    let behind = code.split("crate::").skip(1);
    let names = behind.flat_map(|text| match text.strip_prefix('{') {
        Some(group) => {
            let (group, _) = group.split_once('}').unwrap_or((group, ""));
            group.split(',').map(|name| first_name(name.trim())).collect()
        }
        None => vec![first_name(text)],
    });
    names.filter(|name| !name.is_empty()).collect()
}

fn first_name(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn no_layer_reaches_up() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ipcz/src");
    let mut wrong = Vec::new();
    for (layer, allowed) in LAYERS {
        let own = layer.trim_end_matches(".rs");
        for file in sources(&root.join(layer)) {
            let source = fs::read_to_string(&file).unwrap();
            for name in imports(&source) {
                if name != own && !allowed.contains(&name.as_str()) {
                    wrong.push(format!("{} imports crate::{name}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "ARCHITECTURE.md forbids:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stays_where_it_is_expected() {
    const EXPECTED: &[&str] = &["shm/mapping.rs", "shm/models/memory.rs", "driver/unix/inherit.rs"];
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for crate_folder in
        ["ipcz/src", "ipcz/core/src", "codegen/src", "ipcz-macros/src", "ipcz-idl/src"]
    {
        for file in sources(&workspace.join(crate_folder)) {
            let opts_out = fs::read_to_string(&file).unwrap().contains("allow(unsafe_code)");
            let expected = EXPECTED.iter().any(|expected| file.ends_with(expected));
            assert_eq!(opts_out, expected, "{}", file.display());
        }
    }
}
