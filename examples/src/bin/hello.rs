//! The README's program: a parent and its child.

use ipcz::Node;
use std::process::Command;

#[ipcz::interface]
trait Greeter {
    async fn greet(&self, name: String) -> String;
}

struct Polite;

impl Greeter for Polite {
    async fn greet(&self, name: String) -> String {
        format!("Hello {name}, this is process {}", std::process::id())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).as_deref() == Some("child") {
        let (_node, parent) = Node::from_parent()?;
        return Ok(parent.bootstrap::<GreeterReceiver>()?.serve_blocking(Polite)?);
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("child");
    let child = Node::broker()?.spawn(command)?;
    let greeter: GreeterProxy = child.bootstrap()?;
    println!("{}", greeter.greet("world".into()).wait()?); // or `.await`, on any executor
    Ok(())
}
