#[ipcz::interface]
trait Words {
    const LIMIT: u32;
    type Error;
    async fn count(&self) -> u64;
}

fn main() {}
