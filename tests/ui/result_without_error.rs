#[ipcz::interface]
trait Words {
    async fn count(&self) -> std::io::Result<u64>;
}

fn main() {}
