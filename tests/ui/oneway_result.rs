#[ipcz::interface]
trait Words {
    #[oneway]
    fn log(&self, line: String) -> u64;
    #[oneway]
    async fn save(&self) -> Result<(), String>;
}

fn main() {}
