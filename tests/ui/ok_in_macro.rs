//! An interface that a macro makes, and a renamed crate.

#![deny(warnings)]

mod deep {
    pub(crate) use ::ipcz as renamed;
}

macro_rules! interface {
    ($(#[$attr:meta])* $vis:vis $name:ident { $($method:ident($($arg:ident: $ty:ty),*) -> $out:ty;)* }) => {
        $(#[$attr])*
        #[deep::renamed::interface(name = "made.by.Macro", crate = "crate::deep::renamed")]
        $vis trait $name {
            $(async fn $method(&self, $($arg: $ty),*) -> $out;)*
        }
    };
}

interface! {
    /// Made by a macro.
    pub(crate) Words {
        count(text: &str, bytes: &[u8], more: Vec<u8>) -> u64;
        find(text: String, to: [u8; 4]) -> Result<Vec<u8>, String>;
    }
}

struct Server;

impl Words for Server {
    async fn count(&self, text: &str, bytes: &[u8], more: Vec<u8>) -> u64 {
        (text.len() + bytes.len() + more.len()) as u64
    }

    async fn find(&self, text: String, to: [u8; 4]) -> Result<Vec<u8>, String> {
        if to == [0; 4] { Err(text) } else { Ok(to.to_vec()) }
    }
}

fn main() {
    let node = ipcz::Node::broker().unwrap();
    let (words, receiver) = WordsProxy::pair(&node);
    let server = std::thread::spawn(move || receiver.serve_blocking(Server));
    assert_eq!(words.count("a", &[1, 2], vec![3]).wait().unwrap(), 4);
    assert_eq!(words.find(String::new(), [1; 4]).wait().unwrap(), [1; 4]);
    drop(words);
    server.join().unwrap().unwrap();
}
