//! A host and two plug-ins in processes of their own, which end up talking to each other without the host.
//!
//! `cargo run --bin plugins` runs two plug-ins, `shout`, which changes text, and `frame`, which puts text in a frame
//! and wants it changed before. Both are the host's children and know nobody else. The host finds what they
//! offer by interface, and hands the filter of `shout` to `frame`, as an argument of a call.
//!
//! It prints what `frame` made, which node the filter is reached at, whether the link between the plug-ins is direct
//! (nothing passes through the host), and what `frame` sees when `shout` is killed: the host did not tell it.

use std::error::Error;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ipcz::{Child, Endpoint, Node, Proxy, ReceiverSet, Route, Services};

const PATIENCE: Duration = Duration::from_secs(10);

#[ipcz::interface(name = "example.Filter")]
trait Filter {
    async fn apply(&self, text: &str) -> String;
}

#[ipcz::interface(name = "example.Painter")]
trait Painter {
    /// What to apply to all that is painted from now on.
    async fn set_filter(&self, filter: FilterProxy);
    async fn paint(&self, text: &str) -> Result<String, String>;
    /// The node that the filter is reached at, once nobody is in between.
    async fn filter_at(&self) -> Option<String>;
    /// Waits until the filter is gone, and says why it is.
    async fn filter_lost(&self) -> String;
}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        None => host(),
        Some("shout") => plug_in(|services, set| {
            services.offer(move |receiver: FilterReceiver| set.add(receiver.serve(Shout)));
        }),
        Some("frame") => plug_in(|services, set| {
            services
                .offer(move |receiver: PainterReceiver| set.add(receiver.serve(Frame::default())));
        }),
        Some(other) => Err(format!("there is no plug-in `{other}`").into()),
    }
}

fn host() -> Result<(), Box<dyn Error>> {
    let node = Node::broker()?;
    let (mut shout, frame) = (start(&node, "shout")?, start(&node, "frame")?);
    let painter: PainterProxy = frame.find()?.deadline(PATIENCE).wait()?;
    if let Err(error) = frame.find::<FilterProxy>()?.deadline(PATIENCE).wait() {
        println!("the plug-in `frame` is no filter: {error}");
    }
    let filter: FilterProxy = shout.find()?.deadline(PATIENCE).wait()?;
    // From here on, the host has no part in what the two say to each other.
    painter.set_filter(filter).wait()?;
    print!("{}", painter.paint("two plug-ins made this").deadline(PATIENCE).wait()?);

    let shout_is = shout.wait_connected(PATIENCE)?.ok_or("`shout` does not answer")?.to_string();
    let is_direct = until(|| Ok(painter.filter_at().wait()?.as_ref() == Some(&shout_is)))?;
    println!("`frame` reaches the filter at the node of `shout`: {is_direct}");
    let is_out = until(|| Ok(node.topology().proxies == 0))?;
    println!("the host passes nothing on: {is_out}");

    let lost = painter.filter_lost().deadline(PATIENCE);
    shout.kill()?;
    println!("`frame` lost its filter: {}", lost.wait()?);
    let error = painter.paint("again").wait().expect_err("there is no filter any more");
    println!("and says: {error}");
    Ok(())
}

fn start(node: &Node, plug_in: &str) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(plug_in);
    let mut child = node.spawn(command)?;
    child.kill_on_drop(true);
    Ok(child)
}

/// Routes become shorter in the background: soon, but nobody waits for it.
fn until(is_so: impl Fn() -> Result<bool, Box<dyn Error>>) -> Result<bool, Box<dyn Error>> {
    let begun = Instant::now();
    while !is_so()? {
        if begun.elapsed() > PATIENCE {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(true)
}

/// What all plug-ins have in common: they offer something to the host, until that is gone.
fn plug_in(offer: impl FnOnce(&Services, ReceiverSet)) -> Result<(), Box<dyn Error>> {
    let (_node, host) = Node::from_parent()?;
    let (services, set) = (Services::new(), ReceiverSet::new());
    offer(&services, set.clone());
    thread::spawn(move || set.run_blocking());
    services.serve_blocking(&host)?;
    Ok(())
}

struct Shout;

impl Filter for Shout {
    async fn apply(&self, text: &str) -> String {
        text.to_uppercase()
    }
}

#[derive(Default)]
struct Frame {
    filter: Mutex<Option<Arc<FilterProxy>>>,
}

impl Frame {
    fn filter(&self) -> Option<Arc<FilterProxy>> {
        self.filter.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Painter for Frame {
    async fn set_filter(&self, filter: FilterProxy) {
        *self.filter.lock().unwrap_or_else(PoisonError::into_inner) = Some(filter.into());
    }

    async fn paint(&self, text: &str) -> Result<String, String> {
        let filter = self.filter().ok_or("there is no filter")?;
        let text = filter.apply(text).await.map_err(|error| error.to_string())?;
        let border = "-".repeat(text.chars().count() + 2);
        Ok(format!("+{border}+\n| {text} |\n+{border}+\n"))
    }

    async fn filter_at(&self) -> Option<String> {
        match self.filter()?.portal().route() {
            Route::Remote(node) => Some(node.to_string()),
            _ => None,
        }
    }

    async fn filter_lost(&self) -> String {
        match self.filter() {
            Some(filter) => filter.closed().await.to_string(),
            None => "there was none".into(),
        }
    }
}
