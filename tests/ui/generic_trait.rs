#[ipcz::interface]
trait Words<T> {
    async fn count(&self, of: T) -> u64;
}

#[ipcz::interface]
trait Lines
where
    Self: Sized,
{
    async fn count(&self) -> u64;
}

fn main() {}
