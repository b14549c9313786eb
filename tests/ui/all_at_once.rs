//! Every error of a trait is reported, not just the first.

#[ipcz::interface(name = "no name")]
trait Words<T> {
    const LIMIT: u32;
    async fn count(text: &T) -> u64;
    #[oneway]
    fn log(self, line: String) -> u64;
    async fn pair(&self, (a, b): (u64, u64));
}

fn main() {}
