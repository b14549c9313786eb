//! What the macro expands to, against files: `tests/golden/*.rs` and, beside each, its expansion.
//!
//! `GOLDEN=overwrite cargo test -p ipcz-macros` writes the expansions anew; look at the difference.

use std::path::{Path, PathBuf};
use std::{env, fs};

use proc_macro2::TokenStream;
use syn::Meta;

use crate::interface;

#[test]
fn expansions_are_as_expected() {
    for name in ["shared", "exclusive"] {
        let source = fs::read_to_string(path(&format!("{name}.rs"))).expect("readable");
        let expansion = format(expand(&source));
        let golden = path(&format!("{name}.expanded.rs"));
        if env::var_os("GOLDEN").is_some_and(|mode| mode == "overwrite") {
            fs::write(&golden, &expansion).expect("writable");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(expansion, expected, "{} is out of date", golden.display());
    }
}

#[test]
fn a_method_takes_60_lines_at_most() {
    let with = |methods: usize| {
        let method =
            |n| format!("async fn m{n}(&self, a: u8, b: String, c: Vec<u8>) -> Result<u8, u8>;");
        let methods: String = (0..methods).map(method).collect();
        format(expand(&format!("#[ipcz::interface] trait T {{ {methods} }}"))).lines().count()
    };
    let each = (with(10) - with(0)) / 10;
    assert!(each <= 60, "{each} lines");
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
}

/// Does what the compiler does with `#[ipcz::interface(...)]` on a trait.
fn expand(source: &str) -> TokenStream {
    let mut item: syn::ItemTrait = syn::parse_str(source).expect("a trait");
    let is_ours = |attribute: &syn::Attribute| attribute.path().segments[0].ident == "ipcz";
    let at = item.attrs.iter().position(is_ours).expect("an interface");
    let options = match item.attrs.remove(at).meta {
        Meta::List(list) => list.tokens,
        _ => TokenStream::new(),
    };
    interface::expand(options, quote::quote!(#item))
}

fn format(tokens: TokenStream) -> String {
    let file = syn::parse2(tokens).expect("items");
    prettyplease::unparse(&file)
}
