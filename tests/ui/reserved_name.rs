#[ipcz::interface]
trait Words {
    async fn pair(&self) -> u64;
}

fn main() {}
