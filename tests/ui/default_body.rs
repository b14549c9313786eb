#[ipcz::interface]
trait Words {
    async fn count(&self) -> u64 {
        7
    }
}

fn main() {}
