//! Links libgcc's unwinder into the program instead of loading it as a library of its own.
//!
//! Loading `libgcc_s.so` costs every start about a third of a millisecond, a tenth of a whole look-up; it is only
//! needed to print where a panic happened. Where the static archive is not there, nothing changes.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "this is how a build script speaks and listens"
)]

use std::path::Path;
use std::process::Command;

const ARCHIVE: &str = "libgcc_eh.a";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let own = variable("HOST") == variable("TARGET");
    // Tests keep the library: they unwind.
    let release = variable("PROFILE") == "release";
    if own
        && release
        && variable("CARGO_CFG_TARGET_OS") == "linux"
        && variable("CARGO_CFG_TARGET_ENV") == "gnu"
        && has_archive()
    {
        // Before the standard library's own `-lgcc_s`, which then has nothing left to give and is dropped.
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}

/// Whether the C compiler that links knows the archive: it then answers a path instead of the bare name.
fn has_archive() -> bool {
    let answer = Command::new("cc").arg(format!("-print-file-name={ARCHIVE}")).output();
    answer.is_ok_and(|answer| {
        let path = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        path != ARCHIVE && Path::new(&path).exists()
    })
}
