#[ipcz::interface]
trait Words {
    async fn count(&self, text: _) -> Vec<_>;
}

fn main() {}
