//! Cuts a stream of bytes into lines. Knows nothing of JSON; called by the run of a process.

use memchr::{memchr, memmem};

/// A result of the framer.
#[derive(Debug, PartialEq, Eq)]
pub enum Framed<'a> {
    /// A line without its `\n` (a `\r` before it may be there).
    Line(&'a [u8]),
    /// A line was skipped, because it is longer than the bound or there is not enough memory for it.
    LeftOut {
        /// Its length.
        bytes: usize,
        /// Whether it contained the pattern.
        found: bool,
    },
}

/// Collects bytes until a line is complete. Holds at most the bound plus one chunk.
///
/// A line that arrives complete within one chunk is handed on without a copy.
#[derive(Debug)]
pub struct Framer {
    partial: Vec<u8>,
    /// Bytes of the present line that were dropped because the line is over the bound.
    skipped: usize,
    /// Whether the pattern was among them.
    found: bool,
    /// The end of these bytes, in which the pattern may have begun.
    tail: Vec<u8>,
    pattern: &'static [u8],
    limit: usize,
}

impl Framer {
    /// A framer whose lines have at most `limit` bytes. For longer lines it reports whether they contain `pattern`.
    #[must_use]
    pub fn new(limit: usize, pattern: &'static [u8]) -> Self {
        Self {
            partial: Vec::new(),
            skipped: 0,
            found: false,
            tail: Vec::new(),
            pattern,
            limit,
        }
    }

    /// Takes the next bytes and reports each line that they complete, in order.
    pub fn push(&mut self, mut chunk: &[u8], mut on_line: impl FnMut(Framed<'_>)) {
        while let Some(end) = memchr(b'\n', chunk) {
            let (head, rest) = (&chunk[..end], &chunk[end + 1..]);
            self.complete(head, &mut on_line);
            chunk = rest;
        }
        self.keep(chunk);
    }

    /// Reports a last line that has no `\n`, at the end of the stream.
    pub fn finish(&mut self, mut on_line: impl FnMut(Framed<'_>)) {
        if !self.partial.is_empty() || self.skipped > 0 {
            self.complete(&[], &mut on_line);
        }
    }

    fn complete(&mut self, head: &[u8], on_line: &mut impl FnMut(Framed<'_>)) {
        let length = self.skipped + self.partial.len() + head.len();
        if self.skipped > 0 || length > self.limit || (!self.partial.is_empty() && !self.has_room(head.len()))
        {
            self.skip(head);
            on_line(Framed::LeftOut {
                bytes: length,
                found: self.found,
            });
        } else if self.partial.is_empty() {
            on_line(Framed::Line(head));
        } else {
            self.partial.extend_from_slice(head);
            on_line(Framed::Line(&self.partial));
        }
        self.skipped = 0;
        self.found = false;
        self.tail.clear();
        self.release();
    }

    fn keep(&mut self, chunk: &[u8]) {
        if self.skipped > 0 || self.partial.len() + chunk.len() > self.limit || !self.has_room(chunk.len()) {
            self.skip(chunk);
        } else {
            self.partial.extend_from_slice(chunk);
        }
    }

    /// Makes room in the buffer, if there is memory.
    fn has_room(&mut self, bytes: usize) -> bool {
        self.partial.try_reserve(bytes).is_ok()
    }

    /// Skips the present line.
    fn skip(&mut self, chunk: &[u8]) {
        let partial = std::mem::take(&mut self.partial);
        for bytes in [&partial, chunk] {
            self.look_through(bytes);
        }
        self.skipped += partial.len() + chunk.len();
    }

    fn look_through(&mut self, bytes: &[u8]) {
        let reach = self.pattern.len().saturating_sub(1);
        let has = |bytes: &[u8]| memmem::find(bytes, self.pattern).is_some();
        self.tail.extend_from_slice(&bytes[..bytes.len().min(reach)]);
        self.found |= has(&self.tail) || has(bytes);
        self.tail
            .extend_from_slice(&bytes[bytes.len().saturating_sub(reach).max(bytes.len().min(reach))..]);
        self.tail.drain(..self.tail.len().saturating_sub(reach));
    }

    /// Empties the buffer, and frees a big one, so that one huge line does not hold memory for ever.
    fn release(&mut self) {
        const KEPT_BYTES: usize = 64 * 1024;
        self.partial.clear();
        self.partial.shrink_to(KEPT_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(limit: usize, chunks: &[&[u8]]) -> Vec<Result<Vec<u8>, usize>> {
        let mut framer = Framer::new(limit, b"x");
        let mut found = Vec::new();
        let mut take = |framed: Framed<'_>| {
            found.push(match framed {
                Framed::Line(line) => Ok(line.to_vec()),
                Framed::LeftOut { bytes, .. } => Err(bytes),
            });
        };
        for chunk in chunks {
            framer.push(chunk, &mut take);
        }
        framer.finish(&mut take);
        found
    }

    #[test]
    fn any_chunking_gives_the_same_lines() {
        let text = "{\"a\":\"\u{1f600}é\"}\r\n\n{\"b\":2}\nlast".as_bytes();
        let whole = lines(100, &[text]);
        assert_eq!(whole.len(), 4);
        for size in 1..text.len() {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(lines(100, &chunks), whole, "chunks of {size} bytes");
        }
    }

    #[test]
    fn a_line_over_the_bound_is_left_out_and_the_next_one_is_whole() {
        let expected = vec![Err(12), Ok(b"ok".to_vec())];
        assert_eq!(lines(8, &[b"0123456789ab\nok\n"]), expected);
        assert_eq!(lines(8, &[b"01234", b"56789", b"ab\no", b"k\n"]), expected);
    }

    #[test]
    fn a_pattern_is_found_in_a_line_that_is_left_out_however_it_is_cut() {
        let found = |stream: &[u8], size: usize| {
            let mut framer = Framer::new(4, b"result");
            let mut found = Vec::new();
            for chunk in stream.chunks(size) {
                framer.push(chunk, |framed| {
                    if let Framed::LeftOut { found: it, .. } = framed {
                        found.push(it);
                    }
                });
            }
            found
        };
        for size in 1..20 {
            let stream = b"{\"type\":\"result\"}\nok\n12resul\ntresult\nresul12345\n";
            assert_eq!(
                found(stream, size),
                [true, false, true, false],
                "chunks of {size} bytes"
            );
        }
    }

    #[test]
    fn a_line_of_exactly_the_bound_passes() {
        assert_eq!(lines(4, &[b"12", b"34\n"]), vec![Ok(b"1234".to_vec())]);
    }

    #[test]
    fn a_big_buffer_is_given_back() {
        let mut framer = Framer::new(1 << 24, b"x");
        framer.push(&vec![b'x'; 1 << 20], |_| {});
        framer.push(b"\n", |_| {});
        assert!(framer.partial.capacity() <= 64 * 1024);
    }
}
