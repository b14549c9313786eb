//! What the compiler says of interfaces that are wrong, and of some that look wrong and are not.

use std::fs;
use std::path::Path;

use ipcz_codegen::check::Rule;

#[test]
fn diagnostics() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/ok_*.rs");
    for rule in Rule::ALL {
        cases.compile_fail(format!("ui/{}.rs", file_name(*rule)));
    }
    for other in ["all_at_once", "not_send", "not_serializable"] {
        cases.compile_fail(format!("ui/{other}.rs"));
    }
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
