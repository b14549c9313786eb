//! What the compiler says of interfaces that are wrong, and of some that look wrong and are not.

use std::fs;
use std::path::Path;
use std::process::Command;

use ipcz_codegen::check::Rule;

#[test]
fn diagnostics() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/ok_*.rs");
    for rule in Rule::ALL {
        cases.compile_fail(format!("ui/{}.rs", file_name(*rule)));
    }
    cases.compile_fail("ui/all_at_once.rs");
    cases.compile_fail("ui/since_backwards_field.rs");
    if is_compiler("1.95") {
        cases.compile_fail("ui/not_send.rs");
        cases.compile_fail("ui/not_serializable.rs");
    }
}

/// Whether the compiler is the one that some messages, which are its own, were taken from.
fn is_compiler(version: &str) -> bool {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(compiler).arg("--version").output();
    said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains(&format!(" {version}.")))
}

/// A case for a rule has the rule's message.
#[test]
fn each_rule_has_its_case() {
    for rule in Rule::ALL {
        let name = file_name(*rule);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("ui/{name}.stderr"));
        let said = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = rule.text("§");
        let longest = text.split('§').max_by_key(|part| part.len()).unwrap();
        assert!(said.contains(longest), "{name}.stderr does not say: {longest}");
    }
}

/// `DuplicateMethod` is tested by `ui/duplicate_method.rs`.
fn file_name(rule: Rule) -> String {
    let mut name = String::new();
    for letter in format!("{rule:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}
