#[ipcz::interface]
trait Words {
    #[id(7)]
    async fn count(&self) -> u64;
    #[id(7)]
    async fn find(&self) -> u64;
}

fn main() {}
