use std::io;

#[ipcz::interface]
trait Words {
    async fn count(&self) -> io::Result<u64>;
}

fn main() {}
