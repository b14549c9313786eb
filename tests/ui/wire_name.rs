#[ipcz::interface(name = "demo words")]
trait Words {
    async fn count(&self) -> u64;
}

fn main() {}
