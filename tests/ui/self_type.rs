#[ipcz::interface]
trait Words {
    async fn copy(&self, of: Vec<Self>) -> Self;
}

fn main() {}
