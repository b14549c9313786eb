#[ipcz::interface]
unsafe trait Words {
    async fn count(&self) -> u64;
}

fn main() {}
