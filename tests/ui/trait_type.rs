#[ipcz::interface]
trait Words {
    async fn count(&self, text: impl AsRef<str>) -> u64;
    async fn find(&self, text: Box<dyn ToString>) -> impl Iterator<Item = u64>;
}

fn main() {}
