#[ipcz::interface]
trait Words {
    async fn count<T: AsRef<str>>(&self, text: T) -> u64;
    async fn find<'a>(&self, text: &'a str) -> u64;
    async fn sort(&self)
    where
        Self: Sync;
}

fn main() {}
