//! A handler that could not move between threads.

use std::rc::Rc;

#[ipcz::interface]
trait Words {
    async fn count(&self) -> u64;
}

struct Server;

impl Words for Server {
    async fn count(&self) -> u64 {
        let count = Rc::new(7);
        std::future::ready(()).await;
        *count
    }
}

fn main() {}
