//! A new version of a file, written beside the one it replaces.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::time::SystemTime;

use tempfile::NamedTempFile;

use super::file::{Stamp, parent_of, retry_sharing, temporary_prefix};
use super::files::Files;
use super::print::{Hash, Print};
use crate::limits;

/// Bytes of a new version that are written at once.
const WRITE_BYTES: usize = 1024 * 1024;

/// A file that is being written beside the one it will replace. Removed if dropped early; readable by its owner
/// only, as the crate makes temporary files.
pub(super) struct Draft {
    temporary: NamedTempFile,
    target: PathBuf,
    buffer: Vec<u8>,
    hash: Hash,
    /// Bytes written or buffered.
    pub(super) size: u64,
    /// The text, as long as it is small.
    text: Option<Vec<u8>>,
}

/// A file that is complete except for its name.
pub(super) struct Finished {
    temporary: NamedTempFile,
    target: PathBuf,
    pub(super) print: Print,
    /// The text, if it is small.
    pub(super) text: Option<Vec<u8>>,
}

impl Draft {
    pub(super) fn new(target: PathBuf) -> io::Result<Self> {
        let temporary = tempfile::Builder::new()
            .prefix(&format!("{}{}-", temporary_prefix(&target), process::id()))
            .tempfile_in(parent_of(&target))?;
        Ok(Self {
            temporary,
            target,
            buffer: Vec::new(),
            hash: Hash::default(),
            size: 0,
            text: Some(Vec::new()),
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8], files: &dyn Files) -> io::Result<()> {
        self.size += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES {
            self.write_buffer(files)?;
        }
        Ok(())
    }

    fn write_buffer(&mut self, files: &dyn Files) -> io::Result<()> {
        self.hash.add(&self.buffer);
        if self.size >= limits::STORE_SMALL_BYTES {
            self.text = None;
        }
        if let Some(text) = &mut self.text {
            text.extend_from_slice(&self.buffer);
        }
        files.write(self.temporary.as_file(), &self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    pub(super) fn finish(mut self, files: &dyn Files, durable: bool) -> io::Result<Finished> {
        self.write_buffer(files)?;
        let file = self.temporary.as_file();
        // The kernel's own time stands still for up to 10 ms. The exact time makes any later write visible.
        file.set_modified(SystemTime::now())?;
        if durable {
            files.sync(file)?;
        }
        let print = Print {
            size: self.size,
            modified: Stamp::of(&file.metadata()?)?.modified(),
            hash: self.hash.finish(),
        };
        Ok(Finished {
            temporary: self.temporary,
            target: self.target,
            print,
            text: self.text,
        })
    }
}

impl Finished {
    /// Replaces the target: other processes see the old version or the new one, nothing in between. Returns the open file
    /// and its stamp.
    pub(super) fn install(self, files: &dyn Files, durable: bool) -> io::Result<(File, Stamp)> {
        let (file, path) = self.temporary.keep().map_err(|error| error.error)?;
        if let Err(error) = retry_sharing(|| files.rename(&path, &self.target)) {
            // The error that led here is the one to report.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        if durable {
            sync_dir(parent_of(&self.target), files)?;
        }
        let stamp = Stamp::of(&file.metadata()?)?;
        Ok((file, stamp))
    }
}

/// Makes the names in a directory durable.
#[cfg(unix)]
pub(super) fn sync_dir(dir: &Path, files: &dyn Files) -> io::Result<()> {
    files.sync(&File::open(dir)?)
}

/// Windows does not open directories; it makes names durable by itself.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on unix it can fail")]
pub(super) fn sync_dir(_dir: &Path, _files: &dyn Files) -> io::Result<()> {
    Ok(())
}
