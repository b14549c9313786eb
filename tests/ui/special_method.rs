#[ipcz::interface]
trait Words {
    unsafe fn count(&self) -> u64;
    extern "C" fn sort(&self);
}

fn main() {}
