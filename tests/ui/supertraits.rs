#[ipcz::interface]
trait Words: Send + Clone {
    async fn count(&self) -> u64;
}

fn main() {}
