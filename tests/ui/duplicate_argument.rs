#[ipcz::interface]
trait Words {
    async fn count(&self, text: String, text: String) -> u64;
}

fn main() {}
