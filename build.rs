//! Links libgcc's unwinder into the program instead of loading it as a library of its own, and functions that came out the
//! same only once.
//!
//! Loading `libgcc_s.so` costs every start about a third of a millisecond, a tenth of a whole look-up; it is only
//! needed to print where a panic happened. Where the static archive is not there, nothing changes.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "this is how a build script speaks and listens"
)]

use std::path::Path;
use std::process::{Command, Stdio};

const ARCHIVE: &str = "libgcc_eh.a";
/// Identical code folding; LLD, which links by default where this is tried, gold and mold know it.
const FOLDING: &str = "-Wl,--icf=all";

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
    if own && release && variable("CARGO_CFG_TARGET_OS") == "linux" && folds(&variable) {
        println!("cargo::rustc-link-arg-bins={FOLDING}");
    }
}

/// Whether the linker that cargo will use takes the flag: an empty program is linked with it.
fn folds(variable: &impl Fn(&str) -> String) -> bool {
    let probe = Path::new(&variable("OUT_DIR")).join("probe");
    let source = probe.with_extension("rs");
    if std::fs::write(&source, "fn main() {}").is_err() {
        return false;
    }
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.arg(&source).arg("-o").arg(&probe).args(["-C", &format!("link-arg={FOLDING}")]);
    let linker = variable("RUSTC_LINKER");
    if !linker.is_empty() {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    rustc.args(variable("CARGO_ENCODED_RUSTFLAGS").split('\u{1f}').filter(|flag| !flag.is_empty()));
    rustc.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Whether the C compiler that links knows the archive: it then answers a path instead of the bare name.
fn has_archive() -> bool {
    let answer = Command::new("cc").arg(format!("-print-file-name={ARCHIVE}")).output();
    answer.is_ok_and(|answer| {
        let path = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        path != ARCHIVE && Path::new(&path).exists()
    })
}
