//! Reads `sessions.json` in one pass and keeps only what [`Contents`] keeps.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::sync::Arc;

use memchr::memchr2;
use serde_json::value::RawValue;

use super::contents::{Contents, Entry};
use super::digest::Digest;
use super::object::Key;
use super::source::{Place, Source, read_at};
use super::stamp::Stamp;
use crate::limits;

const CHUNK_BYTES: usize = 256 * 1024;

/// The text of a version of the file.
pub(super) enum Text {
    Object(Contents),
    /// Nothing but white space.
    Blank,
    /// Not a JSON object.
    Broken,
}

/// Reads an open file.
pub(super) fn scan(file: File, stamp: Stamp) -> io::Result<Text> {
    let mut window = Window::new(file.try_clone()?);
    let source = if stamp.size() < limits::STORE_SMALL_BYTES {
        while window.fill()? {}
        Source::Text(window.bytes.clone().into())
    } else {
        Source::Foreign(file, stamp)
    };
    let source = Arc::new(source);
    let mut scanner = Scanner {
        window,
        at: 0,
        source,
    };
    let text = match scanner.object() {
        Ok(contents) => Text::Object(contents),
        Err(Stop::Syntax) if scanner.is_blank()? => Text::Blank,
        Err(Stop::Syntax) => Text::Broken,
        Err(Stop::Io(error)) => return Err(error),
    };
    Ok(text)
}

/// Why a scan ends early.
enum Stop {
    Syntax,
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The part of the file that is in memory.
struct Window {
    file: File,
    bytes: Vec<u8>,
    /// Where in the file the bytes start.
    start: u64,
    ended: bool,
    blank: bool,
}

impl Window {
    fn new(file: File) -> Self {
        Self {
            file,
            bytes: Vec::new(),
            start: 0,
            ended: false,
            blank: true,
        }
    }

    /// Reads on. False at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let known = self.bytes.len();
        self.bytes.resize(known + CHUNK_BYTES, 0);
        let read = read_at(&self.file, &mut self.bytes[known..], self.start + known as u64);
        let count = match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            read => read.map(Some),
        };
        self.bytes
            .truncate(known + count.as_ref().ok().copied().flatten().unwrap_or(0));
        let Some(count) = count? else { return Ok(true) };
        self.ended = count == 0;
        self.blank &= self.bytes[known..].iter().all(u8::is_ascii_whitespace);
        Ok(!self.ended)
    }

    /// Drops the bytes that are no longer needed; returns how many.
    fn drop_before(&mut self, at: usize) -> usize {
        let count = at.min(self.bytes.len());
        self.bytes.drain(..count);
        self.start += count as u64;
        count
    }
}

struct Scanner {
    window: Window,
    /// The next byte, in the window.
    at: usize,
    source: Arc<Source>,
}

impl Scanner {
    fn is_blank(&mut self) -> io::Result<bool> {
        while self.window.blank && self.window.fill()? {
            self.window.drop_before(usize::MAX);
        }
        Ok(self.window.blank)
    }

    fn object(&mut self) -> Result<Contents, Stop> {
        let mut contents = Contents::default();
        while self.window.bytes.len() < 3 && self.window.fill()? {}
        if self.window.bytes.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return self.end().map(|()| contents);
        }
        loop {
            let (key, entry) = self.member()?;
            contents.set(&key, Some(entry));
            let next = self.peek()?;
            self.at += 1;
            match next {
                b',' => {}
                b'}' => return self.end().map(|()| contents),
                _ => return Err(Stop::Syntax),
            }
        }
    }

    fn member(&mut self) -> Result<(Key, Entry), Stop> {
        if self.at >= CHUNK_BYTES {
            self.window.drop_before(self.at);
            self.at = 0;
        }
        self.peek()?;
        let start = self.at;
        self.string()?;
        let literal = String::from_utf8_lossy(&self.window.bytes[start..self.at]);
        let key = serde_json::from_str::<Key>(&literal).map_err(|_| Stop::Syntax)?;
        self.expect(b':')?;
        self.peek()?;
        let start = self.at;
        self.value()?;
        Ok((key, self.entry(start)?))
    }

    /// The value from `start` to here.
    fn entry(&self, start: usize) -> Result<Entry, Stop> {
        // As Node reads a file: bytes that are not UTF-8 become U+FFFD and do not cost the whole store.
        let text = String::from_utf8_lossy(&self.window.bytes[start..self.at]);
        let entry = match &text {
            Cow::Borrowed(text) => {
                let at = self.window.start + start as u64;
                let place = Place {
                    source: &self.source,
                    text,
                    at,
                };
                Entry::parse(text, &place)
            }
            Cow::Owned(text) => {
                let source = Arc::new(Source::Text(text.clone().into_bytes().into()));
                let place = Place {
                    source: &source,
                    text,
                    at: 0,
                };
                Entry::parse(text, &place)
            }
        };
        if matches!(entry, Entry::Other(_)) && serde_json::from_str::<&RawValue>(&text).is_err() {
            return Err(Stop::Syntax);
        }
        entry.know(Digest::of(&text));
        Ok(entry)
    }

    /// Nothing may follow.
    fn end(&mut self) -> Result<(), Stop> {
        match self.peek() {
            Err(Stop::Syntax) if self.window.ended => Ok(()),
            Err(stop) => Err(stop),
            Ok(_) => Err(Stop::Syntax),
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Stop> {
        if self.peek()? != byte {
            return Err(Stop::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Result<u8, Stop> {
        loop {
            match self.byte()? {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                byte => return Ok(byte),
            }
        }
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        loop {
            if let Some(byte) = self.window.bytes.get(self.at) {
                return Ok(*byte);
            }
            if !self.window.fill()? {
                return Err(Stop::Syntax);
            }
        }
    }

    /// Skips a string; the value that contains it is checked as a whole.
    fn string(&mut self) -> Result<(), Stop> {
        if self.byte()? != b'"' {
            return Err(Stop::Syntax);
        }
        self.at += 1;
        loop {
            match memchr2(b'"', b'\\', &self.window.bytes[self.at..]) {
                Some(found) if self.window.bytes[self.at + found] == b'"' => {
                    self.at += found + 1;
                    return Ok(());
                }
                Some(found) => {
                    self.at += found + 1;
                    self.byte()?;
                    self.at += 1;
                }
                None => {
                    self.at = self.window.bytes.len();
                    self.byte()?;
                }
            }
        }
    }

    fn value(&mut self) -> Result<(), Stop> {
        let mut depth = 0_usize;
        loop {
            match self.byte()? {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return Ok(()),
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}
