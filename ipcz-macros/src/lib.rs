//! macros
#[proc_macro_attribute]
/// x
pub fn interface(
    _: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    item
}
