//! The contents in memory, and whether they still are what the file holds.

use std::hash::{DefaultHasher, Hasher};
use std::thread;
use std::time::{Duration, SystemTime};

use super::entries::Entries;
use super::file::{Image, SessionsFile, Stamp};
use crate::error::Result;
use crate::limits;

/// Pause before a file is read again that may be half written.
const SETTLE_PAUSE: Duration = Duration::from_millis(5);

/// The parsed contents of the file.
#[derive(Default)]
pub(super) struct Cache {
    pub(super) entries: Entries,
    seen: Seen,
}

/// Which version of the file the contents are from.
#[derive(Default)]
enum Seen {
    /// None: they must be read.
    #[default]
    Nothing,
    /// There was no file.
    Absent,
    /// This one.
    Version {
        stamp: Stamp,
        text: Text,
        /// The stamp alone tells whether the file has changed since. False as long as the file was so young
        /// when it was read that a later change could have got the same time ("racy" in git).
        settled: bool,
    },
}

/// What the version's text was.
#[derive(Clone, Copy)]
enum Text {
    /// What this process wrote from the contents; it can be written again to compare.
    Ours,
    /// What somebody else wrote: its hash.
    Foreign(u64),
}

/// What [`Cache::refresh`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// The contents are the file's.
    Current,
    /// The file is not a JSON object. The contents are not valid.
    Corrupt,
}

impl Cache {
    /// Brings the contents up to date.
    pub(super) fn refresh(&mut self, file: &SessionsFile) -> Result<Freshness> {
        let refreshed = self.refresh_inner(file);
        if !matches!(refreshed, Ok(Freshness::Current)) {
            self.invalidate();
        }
        refreshed
    }

    fn refresh_inner(&mut self, file: &SessionsFile) -> Result<Freshness> {
        if self.is_current(file.stamp()?) {
            return Ok(Freshness::Current);
        }
        loop {
            let now = SystemTime::now();
            let Some(image) = file.read()? else {
                self.entries = Entries::default();
                self.seen = Seen::Absent;
                return Ok(Freshness::Current);
            };
            if self.take(&image, now) {
                return Ok(Freshness::Current);
            }
            if image.stamp.age(now) >= limits::STORE_SETTLE_AGE {
                return Ok(self.take_unreadable(&image, now));
            }
            thread::sleep(SETTLE_PAUSE);
        }
    }

    /// Forgets the contents: the next refresh reads the file.
    pub(super) fn invalidate(&mut self) {
        *self = Self::default();
    }

    /// Writes the contents. On failure they are forgotten, because they are not what the file holds.
    pub(super) fn save(&mut self, file: &SessionsFile) -> Result<()> {
        let text = self.entries.to_file();
        match file.replace(text.as_bytes()) {
            Ok(Some(stamp)) => {
                self.seen = Seen::Version {
                    stamp,
                    text: Text::Ours,
                    settled: false,
                };
                Ok(())
            }
            Ok(None) => {
                self.invalidate();
                Ok(())
            }
            Err(error) => {
                self.invalidate();
                Err(error)
            }
        }
    }

    fn is_current(&self, stamp: Option<Stamp>) -> bool {
        match (&self.seen, stamp) {
            (Seen::Absent, None) => true,
            (
                Seen::Version {
                    stamp: seen, settled, ..
                },
                Some(stamp),
            ) => *settled && *seen == stamp,
            _ => false,
        }
    }

    /// Takes a version over. False if it is blank or not a JSON object.
    fn take(&mut self, image: &Image, now: SystemTime) -> bool {
        let text = self.known_text(&image.bytes).or_else(|| {
            self.entries = parse(&image.bytes)?;
            Some(Text::Foreign(hash(&image.bytes)))
        });
        let Some(text) = text else {
            return false;
        };
        let settled = image.stamp.age(now) >= limits::STORE_RACY_AGE;
        self.seen = Seen::Version {
            stamp: image.stamp,
            text,
            settled,
        };
        true
    }

    /// Whether the contents are this text's.
    fn known_text(&self, bytes: &[u8]) -> Option<Text> {
        let Seen::Version { text, .. } = self.seen else {
            return None;
        };
        let same = match text {
            Text::Ours => self.entries.to_file().as_bytes() == bytes,
            Text::Foreign(seen) => hash(bytes) == seen,
        };
        same.then_some(text)
    }

    /// Takes over a file that is not JSON for good: a blank one is an empty store.
    fn take_unreadable(&mut self, image: &Image, now: SystemTime) -> Freshness {
        if !image.bytes.iter().all(u8::is_ascii_whitespace) {
            return Freshness::Corrupt;
        }
        self.entries = Entries::default();
        let settled = image.stamp.age(now) >= limits::STORE_RACY_AGE;
        self.seen = Seen::Version {
            stamp: image.stamp,
            text: Text::Foreign(hash(&image.bytes)),
            settled,
        };
        Freshness::Current
    }
}

fn parse(bytes: &[u8]) -> Option<Entries> {
    // As Node reads a file: what is not UTF-8 becomes U+FFFD, it does not cost the whole store.
    let text = String::from_utf8_lossy(bytes);
    Entries::from_json(text.strip_prefix('\u{feff}').unwrap_or(&text)).ok()
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
