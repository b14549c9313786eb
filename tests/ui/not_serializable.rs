//! What the compiler itself says of a type that cannot be sent.

struct Text(String);

#[ipcz::interface]
trait Words {
    async fn count(&self, text: Text) -> u64;
}

fn main() {}
