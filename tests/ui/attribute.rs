#[ipcz::interface]
trait Words {
    #[oneway(really)]
    fn log(&self, line: String);
    #[id("seven")]
    async fn seven(&self);
    #[id(7)]
    #[id(8)]
    async fn eight(&self);
    #[since(1)]
    async fn first(&self);
    #[since]
    async fn second(&self);
    #[since(2)]
    #[since(3)]
    async fn third(&self);
}

fn main() {}
