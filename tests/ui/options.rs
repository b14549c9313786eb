#[ipcz::interface(nam = "demo.Words")]
trait Misspelt {}

#[ipcz::interface(name = demo)]
trait NoString {}

#[ipcz::interface(name = "a", name = "b")]
trait Twice {}

#[ipcz::interface(crate = "not a path")]
trait NoPath {}

#[ipcz::interface(name, local = "yes")]
trait TheOtherWayRound {}

fn main() {}
