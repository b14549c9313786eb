#[ipcz::interface]
trait Words {
    async fn first(&self) -> &str;
    async fn last(&self) -> Result<Option<&str>, String>;
}

fn main() {}
