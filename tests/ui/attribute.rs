#[ipcz::interface]
trait Words {
    #[oneway(really)]
    fn log(&self, line: String);
    #[id("seven")]
    async fn seven(&self);
    #[id(7)]
    #[id(8)]
    async fn eight(&self);
}

fn main() {}
