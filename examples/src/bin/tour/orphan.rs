//! Workers do not outlive A.

use std::process;
use std::thread;
use std::time::Duration;

use ipcz::Connection;

const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Ends this process once its parent is gone, even while it is blocked in a system call elsewhere: in
/// the read of a FIFO, say.
pub(crate) fn end_with(parent: Connection) {
    thread::spawn(move || {
        // The parent knows why it left.
        let _ = parent.wait_ended(FOREVER);
        process::exit(0);
    });
}
