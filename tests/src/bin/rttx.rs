//! scratch
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let pin = |cpu: usize| {
        let mut set = rustix::thread::CpuSet::new();
        set.set(cpu);
        rustix::thread::sched_setaffinity(None, &set).unwrap();
    };
    if args.get(1).map(String::as_str) == Some("worker") {
        let c: usize = args[2].parse().unwrap();
        if c < 9 { pin(c); }
        let node = ipcz::Node::from_parent().unwrap();
        let portal: ipcz::Portal = node.1.take_portal(0).unwrap();
        while let Ok(p) = portal.recv_blocking() { if portal.put(p).is_err() { break } }
        return;
    }
    let (a, b): (usize, usize) = (args[1].parse().unwrap(), args[2].parse().unwrap());
    let n: usize = args[3].parse().unwrap();
    let size: usize = args.get(4).map_or(64, |s| s.parse().unwrap());
    if a < 9 { pin(a); }
    let node = ipcz::Node::broker().unwrap();
    let mut cmd = std::process::Command::new(std::env::current_exe().unwrap());
    cmd.arg("worker").arg(b.to_string());
    let child = node.spawn(cmd).unwrap();
    let portal: ipcz::Portal = child.take_portal(0).unwrap();
    for _ in 0..1000 { portal.put(vec![1; size]).unwrap(); portal.recv_blocking().unwrap(); }
    for _ in 0..5 {
        let t = Instant::now();
        for _ in 0..n { portal.put(vec![1; size]).unwrap(); portal.recv_blocking().unwrap(); }
        println!("{:.0} ns", t.elapsed().as_nanos() as f64 / n as f64);
    }
}
