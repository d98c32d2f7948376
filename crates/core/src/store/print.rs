//! The fingerprint of a version of `sessions.json`, by which the journal names the file that it belongs to.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Size, time and content of a version. The journal outlives processes and copies of the directory, so there is no
/// inode in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Print {
    pub(super) size: u64,
    /// Time of the last change, in ns since 1970.
    pub(super) modified: u64,
    /// [`Hash`] of the content.
    pub(super) hash: u64,
}

/// A time in ns since 1970.
pub(super) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A hash that is the same in all versions and on all machines. It is not made to resist forgery.
#[derive(Debug, Clone, Default)]
pub(super) struct Hash {
    state: u64,
    len: u64,
    rest: Vec<u8>,
}

/// An odd number without a pattern (the golden ratio), as in Fibonacci hashing.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hash {
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        if !self.rest.is_empty() {
            let missing = (8 - self.rest.len()).min(bytes.len());
            self.rest.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if self.rest.len() < 8 {
                return;
            }
            let rest = std::mem::take(&mut self.rest);
            self.word(&rest);
        }
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.word(word);
        }
        self.rest.extend_from_slice(words.remainder());
    }

    fn word(&mut self, word: &[u8]) {
        let mut bytes = [0; 8];
        bytes[..word.len()].copy_from_slice(word);
        self.state = (self.state.rotate_left(23) ^ u64::from_le_bytes(bytes)).wrapping_mul(FACTOR);
    }

    pub(super) fn finish(mut self) -> u64 {
        let rest = std::mem::take(&mut self.rest);
        self.word(&rest);
        let mixed = (self.state ^ self.len).wrapping_mul(FACTOR);
        mixed ^ (mixed >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_does_not_depend_on_how_the_bytes_come() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut whole = Hash::default();
        whole.add(&bytes);
        let whole = whole.finish();
        for size in 1..20 {
            let mut parts = Hash::default();
            bytes.chunks(size).for_each(|part| parts.add(part));
            assert_eq!(parts.finish(), whole, "{size}");
        }
        let mut other = Hash::default();
        other.add(&bytes[1..]);
        assert_ne!(other.finish(), whole);
    }
}
