#[ipcz::interface]
trait Words {
    async fn count(&self, #[cfg(unix)] text: String) -> u64;
}

fn main() {}
