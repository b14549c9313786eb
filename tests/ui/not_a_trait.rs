#[ipcz::interface]
struct Words {
    lines: u64,
}

fn main() {}
