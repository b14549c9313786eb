#[ipcz::interface]
trait Words {
    async fn count(&self) -> u64;
    #[since(3)]
    async fn lines(&self) -> u64;
    #[since(2)]
    async fn letters(&self) -> u64;
    async fn total(&self) -> u64;
}

fn main() {}
