//! Wiped: bytes on their way to and from the socket, of which nothing stays in memory, not even where they outgrew a place.

use std::io;

use secrecy::zeroize::Zeroizing;

/// Bytes that are wiped.
#[derive(Default)]
pub(crate) struct Wiped {
    bytes: Zeroizing<Vec<u8>>,
    /// How many of them hold no end of a line.
    searched: usize,
}

impl Wiped {
    /// Adds some; a `Vec` by itself would leave the old ones behind where it grows.
    pub(crate) fn add(&mut self, more: &[u8]) {
        let needed = self.bytes.len() + more.len();
        if needed > self.bytes.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(more);
    }

    /// Takes the first line, with its end, if there is a whole one.
    pub(crate) fn line(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        let Some(end) = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.bytes.len();
            return None;
        };
        let mut rest = Self::default();
        rest.add(&self.bytes[self.searched + end + 1..]);
        self.bytes.truncate(self.searched + end + 1);
        Some(std::mem::replace(self, rest).bytes)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn all(&self) -> &[u8] {
        &self.bytes
    }
}

impl io::Write for Wiped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
