/// Counts what is in a text.
#[ipcz::interface(name = "demo.words.WordCounter")]
pub trait WordCounter {
    /// Counts, and reports to `watcher`.
    async fn count(&self, file: OsHandle, watcher: ProgressProxy) -> Result<Counts, CountError>;
    /// Takes bytes in every form.
    async fn bytes(&self, a: &[u8], b: Vec<u8>, c: [u8; 4], d: Option<Vec<u8>>) -> Vec<u8>;
    #[oneway]
    fn log(&self, line: &str);
    #[deprecated = "use `count`"]
    #[cfg(feature = "old")]
    #[id(7)]
    fn total(&self) -> u64;
}
