#[ipcz::interface]
trait Words {
    async fn count(&self) -> u64;
    async fn count(&self, text: String) -> u64;
}

fn main() {}
