#[ipcz::interface]
trait Words {
    async fn count(&self, text: *const u8, with: fn(u8) -> bool) -> Vec<*mut u8>;
}

fn main() {}
