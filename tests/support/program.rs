//! Programs that a test writes for the helper to run.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

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
