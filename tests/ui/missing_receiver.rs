#[ipcz::interface]
trait Words {
    async fn new() -> u64;
    async fn count(text: String) -> u64;
}

fn main() {}
