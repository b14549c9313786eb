#[ipcz::interface]
trait Words {
    async fn count(&self, text: &String) -> u64;
    async fn find(&self, text: &mut str, words: Vec<&[u8]>) -> u64;
}

fn main() {}
