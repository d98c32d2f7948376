//! `sessions.journal`: reading its new lines, appending to it, replacing it by a shorter one.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memchr;
use uuid::Uuid;

use super::draft::Draft;
use super::files::Files;
use super::line::{self, Header};
use super::print::Print;
use super::source::{Source, read_at};

const CHUNK_BYTES: usize = 256 * 1024;

/// The journal of a data directory, read up to some line.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    writer: Option<File>,
    source: Arc<Source>,
    identity: Identity,
    pub(super) header: Header,
    /// Bytes read: whole lines.
    pub(super) read: u64,
    /// Number of the last line read.
    pub(super) seq: u64,
    /// Whether it has unreadable lines, which are kept aside. The next fold then replaces the journal, whatever its size.
    pub(super) damaged: bool,
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
            writer: None,
            header: Header {
                clearctx: line::VERSION,
                epoch: String::new(),
                after: 0,
                base: None,
            },
            read: 0,
            seq: 0,
            damaged: false,
        };
        journal.read_header()?;
        Ok(Some(journal))
    }

    // If the journal has no first line of its own, its lines still apply, to whatever file there is.
    fn read_header(&mut self) -> io::Result<()> {
        let mut first = None;
        self.lines_from(
            0,
            u64::MAX,
            &mut |line, at| {
                let end = at + line.map_or_else(<[u8]>::len, str::len) as u64 + 1;
                first.get_or_insert((line.ok().map(str::to_owned), end));
            },
            true,
        )?;
        let Some((Some(text), end)) = first else {
            return Ok(());
        };
        if let Ok(header) = serde_json::from_str::<Header>(&text)
            && header.is_sound()
        {
            if header.clearctx > line::VERSION {
                return Err(io::Error::other("was written by a later version of clearctx"));
            }
            (self.seq, self.read) = (header.after, end);
            self.header = header;
        }
        Ok(())
    }

    /// Creates a journal for a file that contains everything up to now.
    pub(super) fn create(path: &Path, base: Option<Print>, files: &dyn Files) -> io::Result<Self> {
        let header = Header {
            clearctx: line::VERSION,
            epoch: Uuid::new_v4().hyphenated().to_string(),
            after: 0,
            base,
        };
        Self::install(path, &header, &[], files, false)
    }

    /// Replaces the journal by one with these lines.
    fn install(
        path: &Path,
        header: &Header,
        lines: &[u8],
        files: &dyn Files,
        durable: bool,
    ) -> io::Result<Self> {
        let mut draft = Draft::new(path.to_owned())?;
        let first = serde_json::to_string(header).map_err(io::Error::other)? + "\n";
        draft.write(first.as_bytes(), files)?;
        draft.write(lines, files)?;
        draft.finish(files, durable)?.install(files, durable)?;
        let journal = Self::open(path)?;
        journal.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Replaces the journal by one that has only the lines from `from` on, for a file that contains everything before.
    pub(super) fn rotate(
        &self,
        after: u64,
        base: Option<Print>,
        from: u64,
        files: &dyn Files,
        durable: bool,
    ) -> io::Result<Self> {
        let header = Header {
            after,
            base,
            ..self.header.clone()
        };
        let mut lines = Vec::new();
        self.lines_from(
            from,
            self.read,
            &mut |line, _| {
                if let Ok(line) = line
                    && line::seq_of(line).is_some_and(|seq| seq > after)
                    && !line::is_fold(line)
                {
                    lines.extend_from_slice(line.as_bytes());
                    lines.push(b'\n');
                }
            },
            false,
        )?;
        let mut journal = Self::install(&self.path, &header, &lines, files, durable)?;
        journal.read = fs::metadata(&self.path)?.len();
        journal.seq = self.seq;
        Ok(journal)
    }

    pub(super) fn source(&self) -> &Arc<Source> {
        &self.source
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

    /// Reads the new complete lines.
    pub(super) fn read_new(&mut self, each: &mut Each<'_>) -> io::Result<()> {
        self.read = self.lines_from(self.read, u64::MAX, each, false)?;
        Ok(())
    }

    /// Reads the lines between two positions; returns where the next line starts.
    pub(super) fn lines_from(&self, from: u64, to: u64, each: &mut Each<'_>, one: bool) -> io::Result<u64> {
        let mut bytes = Vec::new();
        let (mut start, mut searched) = (from, 0);
        // A buffer bigger than the file would cost more than reading it.
        let to = to.min(self.len()?);
        loop {
            let known = bytes.len();
            if start + known as u64 >= to {
                return Ok(start);
            }
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
                if one {
                    return Ok(start + done as u64);
                }
            }
            bytes.drain(..done);
            start += done as u64;
            searched = bytes.len();
        }
    }

    /// Cuts off the unfinished line of a writer that died. The caller holds the lock and has read all lines.
    pub(super) fn cut_torn_tail(&mut self, files: &dyn Files) -> io::Result<()> {
        if self.len()? > self.read {
            let read = self.read;
            files.truncate(self.writer()?, read)?;
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
            let _ = files.truncate(writer, at);
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

/// Identifies the journal by its first line, which says where the journal begins.
#[cfg(not(unix))]
fn identity(file: &File, _metadata: &Metadata) -> io::Result<Identity> {
    let mut start = [0; 512];
    let count = read_at(file, &mut start, 0)?;
    let mut hash = super::print::Hash::default();
    let line = start[..count].split(|byte| *byte == b'\n').next();
    hash.add(line.unwrap_or_default());
    Ok((0, hash.finish()))
}
