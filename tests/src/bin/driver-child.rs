//! A process for the tests of the Unix driver to run.
//!
//! Its first argument says what it does; it prints one line for each thing that a test asks about.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use ipcz::OsHandle;
use ipcz::driver::unix::{UnixDriver, from_parent};
use ipcz::driver::{Attachment, Driver, Frame, Transport, TransportClosed, TransportHandler};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("echo") => echo(),
        Some("take-twice") => {
            let first = from_parent();
            println!("first: {}", first.is_ok());
            println!("second: {:?}", from_parent().unwrap_err());
        }
        Some("take") => match from_parent() {
            Ok(_) => println!("taken"),
            Err(error) => println!("{error:?}: {error}"),
        },
        Some("grandchild-takes") => {
            let _mine = from_parent().unwrap();
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.arg("take").status().unwrap();
        }
        Some("descriptors") => descriptors().into_keys().for_each(|fd| println!("{fd}")),
        Some("audit") => audit(),
        Some("crowd") => crowd(),
        Some("flow") => flow(),
        Some("idle") => loop {
            std::thread::park();
        },
        other => panic!("what is {other:?}?"),
    }
}

/// Sends every frame back until its peer is gone.
#[derive(Default)]
struct Echo {
    transport: OnceLock<Box<dyn Transport>>,
    over: AtomicBool,
}

impl TransportHandler for Echo {
    fn on_frames(&self, frames: &mut Vec<Frame>) {
        let mut frames: VecDeque<Frame> = frames.drain(..).collect();
        self.transport.get().unwrap().transmit(&mut frames).unwrap();
    }

    fn on_drained(&self) {}

    fn on_closed(&self, _why: TransportClosed) {
        self.over.store(true, Ordering::SeqCst);
    }
}

fn echo() {
    let driver = UnixDriver::new().unwrap();
    let echo = Arc::new(Echo::default());
    let transport = driver.transport(from_parent().unwrap()).unwrap();
    let transport = echo.transport.get_or_init(|| transport);
    transport.activate(echo.clone()).unwrap();
    while !echo.over.load(Ordering::SeqCst) {
        driver.pump().unwrap().wait(None).unwrap();
    }
}

/// The open descriptors, and whether each is close-on-exec.
fn descriptors() -> BTreeMap<i32, bool> {
    const CLOEXEC: u32 = 0o2_000_000;
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // The descriptor of the folder itself is gone with the iteration.
        found.insert(name.parse().unwrap(), false);
    }
    found.retain(|fd, close_on_exec| {
        let Ok(info) = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")) else {
            return false;
        };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        *close_on_exec = flags & CLOEXEC != 0;
        true
    });
    found
}

#[derive(Default)]
struct Keeper {
    frames: Mutex<Vec<Frame>>,
    closed: Mutex<Option<TransportClosed>>,
}

impl TransportHandler for Keeper {
    fn on_frames(&self, frames: &mut Vec<Frame>) {
        self.frames.lock().unwrap().append(frames);
    }

    fn on_drained(&self) {}

    fn on_closed(&self, why: TransportClosed) {
        *self.closed.lock().unwrap() = Some(why);
    }
}

fn handles(count: usize) -> Frame {
    let null = || Attachment::Handle(OsHandle::from(File::open("/dev/null").unwrap()));
    Frame { attachments: (0..count).map(|_| null()).collect(), ..Frame::default() }
}

/// Opens one of everything and looks whether all of it is close-on-exec and gone in the end.
fn audit() {
    let before = descriptors();
    let path = std::env::temp_dir().join(format!("ipcz-audit-{}", std::process::id()));
    {
        let driver = UnixDriver::new().unwrap();
        let keeper = Arc::new(Keeper::default());
        let (a, b) = driver.create_transports().unwrap();
        let (c, d) = driver.create_transports().unwrap();
        let region = driver.allocate_region(100).unwrap();
        let mut frame = handles(300);
        frame.attachments.push(Attachment::Region(region.try_clone().unwrap()));
        frame.attachments.push(Attachment::Transport(d));
        a.transmit(&mut VecDeque::from([frame])).unwrap();
        b.activate(keeper.clone()).unwrap();
        while keeper.frames.lock().unwrap().is_empty() {
            driver.pump().unwrap().wait(None).unwrap();
        }
        let listener = driver.listen(&path).unwrap();
        let connected = driver.connect(&path).unwrap();
        let accepted = listener.accept().unwrap();
        let mut idle = Command::new(std::env::current_exe().unwrap());
        idle.arg("idle");
        let (mut child, spawned) = driver.spawn(idle).unwrap();
        assert!(driver.spawn(Command::new("/nonexistent")).is_err());
        let now = descriptors();
        let new: Vec<_> = now.iter().filter(|(fd, _)| !before.contains_key(fd)).collect();
        println!("many: {}", new.len() > 310);
        println!("close-on-exec: {}", new.iter().all(|(_, close_on_exec)| **close_on_exec));
        child.kill().unwrap();
        child.wait().unwrap();
        drop((a, b, c, keeper, listener, connected, accepted, spawned));
    }
    println!("leaked: {}", descriptors().len() - before.len());
    println!("path removed: {}", !path.exists());
}

/// Has too few descriptors left for what arrives.
fn crowd() {
    let driver = UnixDriver::new().unwrap();
    let keeper = Arc::new(Keeper::default());
    let (a, b) = driver.create_transports().unwrap();
    b.activate(keeper.clone()).unwrap();
    let before = descriptors().len();
    let mut frames = VecDeque::from([handles(1), handles(100), handles(1)]);
    a.transmit(&mut frames).unwrap();
    limit_descriptors(before + 20).unwrap();
    while keeper.closed.lock().unwrap().is_none() {
        driver.pump().unwrap().wait(None).unwrap();
    }
    println!("closed: {:?}", keeper.closed.lock().unwrap());
    println!("frames: {}", keeper.frames.lock().unwrap().len());
    keeper.frames.lock().unwrap().clear();
    println!("leaked: {}", descriptors().len() - before);
}

/// Has fewer descriptors left than are under way, but enough for what it has not yet handled.
fn flow() {
    let driver = UnixDriver::new().unwrap();
    let keeper = Arc::new(Keeper::default());
    let (a, b) = driver.create_transports().unwrap();
    b.activate(keeper.clone()).unwrap();
    let before = descriptors().len();
    for _ in 0..60 {
        a.transmit(&mut VecDeque::from([handles(10)])).unwrap();
    }
    limit_descriptors(before + 100).unwrap();
    let mut arrived = 0;
    while arrived < 60 && keeper.closed.lock().unwrap().is_none() {
        driver.pump().unwrap().wait(None).unwrap();
        arrived += keeper.frames.lock().unwrap().drain(..).count();
    }
    println!("arrived: {arrived}");
}

fn limit_descriptors(count: usize) -> io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(count as u64);
    Ok(setrlimit(Resource::Nofile, limit)?)
}
