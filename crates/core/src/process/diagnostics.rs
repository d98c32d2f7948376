//! The standard error of a process: its end for error messages, its text for listeners.

use crate::limits;

/// Collects standard error.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    tail: Vec<u8>,
    /// Bytes of a character that is not complete yet.
    incomplete: Vec<u8>,
}

impl Diagnostics {
    /// Takes the next bytes and returns the text that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        let kept = limits::STDERR_TAIL_BYTES;
        self.tail
            .extend_from_slice(&bytes[bytes.len().saturating_sub(kept)..]);
        let over = self.tail.len().saturating_sub(kept);
        self.tail.drain(..over);
        self.incomplete.extend_from_slice(bytes);
        let complete = complete_length(&self.incomplete);
        let text: Vec<u8> = self.incomplete.drain(..complete).collect();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The last bytes, bounded by [`limits::STDERR_TAIL_BYTES`].
    #[must_use]
    pub(crate) fn tail(&self) -> String {
        String::from_utf8_lossy(&self.tail).into_owned()
    }
}

/// Length of the bytes without a character that is cut at their end.
fn complete_length(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    let lead = bytes[from..]
        .iter()
        .rposition(|byte| *byte >= 0xC0)
        .map(|at| from + at);
    match lead {
        Some(at) if std::str::from_utf8(&bytes[at..]).is_err_and(|error| error.error_len().is_none()) => at,
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_survive_any_chunking() {
        let text = "aé\u{1f600}z\u{20ac}";
        for size in 1..5 {
            let mut diagnostics = Diagnostics::default();
            let read: String = text
                .as_bytes()
                .chunks(size)
                .map(|chunk| diagnostics.push(chunk))
                .collect();
            assert_eq!(read, text, "chunks of {size} bytes");
        }
    }

    #[test]
    fn only_the_end_is_kept() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.push(&vec![b'x'; 3 * limits::STDERR_TAIL_BYTES]);
        diagnostics.push(b"end");
        let tail = diagnostics.tail();
        assert_eq!(tail.len(), limits::STDERR_TAIL_BYTES);
        assert!(tail.ends_with("xend"));
    }
}
