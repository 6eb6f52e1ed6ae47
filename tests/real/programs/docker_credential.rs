//! The crate that testcontainers for Rust looks up with: prints the name and the password that it finds for a registry,
//! each on a line of its own. What it doesn't find for whatever reason is nothing, as it is there.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "its answer")]

use docker_credential::{DockerCredential, get_credential};

fn main() {
    match get_credential(&std::env::args().nth(1).unwrap_or_default()) {
        Ok(DockerCredential::UsernamePassword(name, password)) => println!("{name}\n{password}"),
        Ok(DockerCredential::IdentityToken(_)) => eprintln!("an identity token"),
        Err(error) => eprintln!("{error}"),
    }
}
