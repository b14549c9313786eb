#[ipcz::interface]
trait Words {
    async fn count(&self, (from, to): (u64, u64)) -> u64;
    async fn find(&self, _: String) -> u64;
}

fn main() {}
