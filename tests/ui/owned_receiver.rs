#[ipcz::interface]
trait Words {
    async fn finish(self) -> u64;
    async fn count(self: std::sync::Arc<Self>) -> u64;
}

fn main() {}
