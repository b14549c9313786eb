#[derive(ipcz::Message)]
struct Counts {
    lines: u64,
    #[since(2)]
    words: u64,
    letters: u64,
}

#[derive(ipcz::Message)]
enum Encoding {
    #[since(3)]
    Utf16,
    #[unknown]
    Other,
    #[since(2)]
    Latin(u8, #[since(1)] u8),
}

#[derive(ipcz::Message)]
struct Lent<'a>(&'a str);

fn main() {}
