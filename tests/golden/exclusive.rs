#[ipcz::interface(crate = "crate::renamed")]
pub(crate) trait Progress {
    #[oneway]
    fn update(&mut self, done: u64);
    async fn finish(&mut self);
    async fn look(&self) -> Result<(), String>;
}
