#[derive(ipcz::Message)]
enum Encoding {
    Utf8,
    #[unknown]
    Other(u32),
    #[unknown]
    Another,
}

fn main() {}
