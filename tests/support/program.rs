//! Programs that a test starts, or writes for the helper to run.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Writes a shell script to be run, whose folder is made where it is missing.
///
/// A shell writes it: while this process had the file open for writing, another test's child could inherit it, and
/// the kernel refuses to run a file that anybody still writes ("Text file busy").
pub(crate) fn write_script(path: &Path, text: &str) {
    const WRITE: &str = "mkdir -p \"${0%/*}\" && cat > \"$0\" && chmod 755 \"$0\"";
    let mut shell = Command::new("sh").args(["-c", WRITE]).arg(path).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    stdin.write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
    drop(stdin);
    assert!(shell.wait().unwrap().success(), "{}", path.display());
}

/// A process of a test's own; it ends with the test, also where that fails.
pub(crate) struct Ends(pub(crate) Child);

impl Ends {
    /// Waits until the server answers.
    #[track_caller]
    pub(crate) fn comes_up(&mut self, name: &str, answers: impl Fn() -> bool) {
        let limit = Instant::now() + Duration::from_secs(20);
        while !answers() {
            let ended = self.0.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < limit, "{name} did not come up: {ended:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
