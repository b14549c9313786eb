#[ipcz::interface]
trait Words {
    async fn count(&'static self, text: &'static str) -> u64;
    async fn find(&self, text: std::borrow::Cow<'static, str>) -> u64;
}

fn main() {}
