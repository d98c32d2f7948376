//! `sessions.journal`: reading its new lines, appending to it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memchr;

use super::files::Files;
use super::line::{self, Header};
use super::source::{Source, read_at, read_exact_at};
use crate::limits;

const CHUNK_BYTES: usize = 256 * 1024;

/// The journal of a data directory, read up to some line.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    writer: Option<File>,
    source: Arc<Source>,
    /// All that was read, if it is little, for histories that outlive this.
    copy: Option<(u64, Arc<Source>)>,
    identity: Identity,
    pub(super) header: Header,
    /// Bytes read: whole lines.
    pub(super) read: u64,
    /// Number of the last change read.
    pub(super) seq: u64,
    /// Whether there is an unfinished line at the end.
    pub(super) is_torn: bool,
}

/// Distinguishes a journal from the one that replaces it.
type Identity = (u64, u64);

impl Journal {
    /// Opens the journal and reads its first line. `None` if there is none.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut journal = Self {
            path: path.to_owned(),
            source: Arc::new(Source::Journal(file.try_clone()?)),
            identity: identity(&file, &file.metadata()?)?,
            file,
            copy: None,
            writer: None,
            header: Header::default(),
            read: 0,
            seq: 0,
            is_torn: false,
        };
        journal.read_header()?;
        Ok(Some(journal))
    }

    // If the journal has no first line of its own, its lines still apply.
    fn read_header(&mut self) -> io::Result<()> {
        let mut start = [0; 1024];
        let count = read_at(&self.file, &mut start, 0)?;
        let line = memchr(b'\n', &start[..count]).map(|end| &start[..end]);
        if let Some(line) = line
            && let Ok(header) = serde_json::from_slice::<Header>(line)
        {
            if header.clearctx > line::VERSION {
                return Err(io::Error::other("was written by a later version of clearctx"));
            }
            (self.seq, self.read) = (header.upto, line.len() as u64 + 1);
            self.header = header;
        }
        Ok(())
    }

    /// Goes on after the snapshot, which holds nothing new.
    pub(super) fn skip_snapshot(&mut self) {
        self.read = self.header.start;
    }

    pub(super) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// A copy of a small journal in memory, so that whoever keeps a history for long does not keep the file open.
    pub(super) fn small_copy(&mut self) -> Option<&Arc<Source>> {
        if self.read >= limits::STORE_SMALL_BYTES {
            return None;
        }
        let read = self.read;
        if self.copy.as_ref().is_none_or(|(len, _)| *len != read) {
            let mut text = Vec::new();
            read_exact_at(&self.file, 0, usize::try_from(read).ok()?, &mut text).ok()?;
            self.copy = Some((read, Arc::new(Source::Text(text.into()))));
        }
        self.copy.as_ref().map(|(_, copy)| copy)
    }

    /// Whether the alpha has written it.
    pub(super) fn is_old(&self) -> bool {
        self.header.clearctx == 1
    }

    /// Whether the journal at this path has been replaced. `None` if there is none.
    pub(super) fn is_replaced(&self) -> io::Result<Option<bool>> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        #[cfg(unix)]
        let now = inode(&metadata);
        #[cfg(not(unix))]
        let now = identity(&File::open(&self.path)?, &metadata)?;
        Ok(Some(now != self.identity))
    }

    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Reads the new complete lines. False if the journal has become shorter: it is another one.
    pub(super) fn read_new(&mut self, each: &mut Each<'_>) -> io::Result<bool> {
        let len = self.len()?;
        if len > self.read {
            self.read = self.lines(self.read, len, each)?;
        }
        self.is_torn = len > self.read;
        Ok(len >= self.read)
    }

    /// Reads the lines between two positions; returns where the next line starts.
    pub(super) fn lines(&self, from: u64, to: u64, each: &mut Each<'_>) -> io::Result<u64> {
        let mut bytes = Vec::new();
        let (mut start, mut searched) = (from, 0);
        loop {
            let known = bytes.len();
            if start + known as u64 >= to {
                return Ok(start);
            }
            // A buffer bigger than the file would cost more than reading it.
            let room = usize::try_from(to - start).unwrap_or(usize::MAX) - known;
            bytes.resize(known + room.min(CHUNK_BYTES), 0);
            let count = match read_at(&self.file, &mut bytes[known..], start + known as u64) {
                Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                read => {
                    let count = read?;
                    if count == 0 {
                        return Ok(start);
                    }
                    count
                }
            };
            bytes.truncate(known + count);
            let mut done = 0;
            while let Some(length) = memchr(b'\n', &bytes[done + searched..]).map(|found| found + searched) {
                let line = &bytes[done..done + length];
                each(std::str::from_utf8(line).map_err(|_| line), start + done as u64);
                done += length + 1;
                searched = 0;
            }
            bytes.drain(..done);
            start += done as u64;
            searched = bytes.len();
        }
    }

    /// Cuts off the unfinished line of a writer that died. The caller holds the lock and has read all lines.
    pub(super) fn cut_torn_tail(&mut self, files: &dyn Files) -> io::Result<()> {
        if self.is_torn {
            let read = self.read;
            files.truncate(self.writer()?, read)?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Appends complete lines. The caller holds the lock and has read all lines. On failure nothing was appended.
    pub(super) fn append(&mut self, lines: &str, files: &dyn Files) -> io::Result<()> {
        let at = self.read;
        let writer = self.writer()?;
        if let Err(error) = files.write(writer, lines.as_bytes()) {
            // If even this fails, the next writer cuts off an unfinished line. Complete lines before it would count,
            // although their caller got an error: a change made twice is better than a lost one.
            self.is_torn = files.truncate(writer, at).is_err();
            return Err(error);
        }
        self.read += lines.len() as u64;
        Ok(())
    }

    fn writer(&mut self) -> io::Result<&File> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => OpenOptions::new().append(true).open(&self.path)?,
        };
        Ok(self.writer.insert(writer))
    }

    /// A handle with which to make the lines durable while others append.
    pub(super) fn handle(&self) -> io::Result<File> {
        self.writer.as_ref().unwrap_or(&self.file).try_clone()
    }
}

/// Takes a line, or bytes that are not text, and their position.
pub(super) type Each<'a> = dyn FnMut(Result<&str, &[u8]>, u64) + 'a;

#[cfg(unix)]
fn inode(metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere the file has to be read")]
fn identity(_file: &File, metadata: &Metadata) -> io::Result<Identity> {
    Ok(inode(metadata))
}

/// Identifies the journal by its first line, which no other journal has.
#[cfg(not(unix))]
fn identity(file: &File, _metadata: &Metadata) -> io::Result<Identity> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut start = [0; line::HEADER_BYTES];
    let count = read_at(file, &mut start, 0)?;
    let mut hash = DefaultHasher::new();
    start[..count].hash(&mut hash);
    Ok((0, hash.finish()))
}
