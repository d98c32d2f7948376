//! A new version of a file, written beside the one it replaces.

#[cfg(unix)]
use std::fs::File;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

use super::files::Files;
use super::stamp::Stamp;
use crate::fs::private;

/// Bytes of a new version that are written at once.
const WRITE_BYTES: usize = 1024 * 1024;

/// Tries and pause for a call that fails while another process briefly uses the file (Windows: virus scanners, readers).
const SHARING_TRIES: usize = 10;
const SHARING_PAUSE: Duration = Duration::from_millis(5);

/// A file that is being written beside the one it will replace. Removed if dropped early; readable by its owner
/// only, as the crate makes temporary files.
pub(super) struct Draft {
    temporary: NamedTempFile,
    target: PathBuf,
    buffer: Vec<u8>,
    /// Bytes written or buffered.
    pub(super) size: u64,
}

impl Draft {
    pub(super) fn new(target: PathBuf) -> io::Result<Self> {
        let temporary = tempfile::Builder::new()
            .prefix(&format!("{}{}-", temporary_prefix(&target), process::id()))
            .tempfile_in(parent_of(&target))?;
        private::give_to_owner_of_dir(temporary.as_file(), &target);
        Ok(Self {
            temporary,
            target,
            buffer: Vec::new(),
            size: 0,
        })
    }

    /// Gives the new version the mode of the old one, and its owner where the system allows that.
    #[cfg(unix)]
    pub(super) fn look_like(&self, old: &Metadata) {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
        let file = self.temporary.as_file();
        if old.uid() != rustix::process::geteuid().as_raw() {
            // Only a program of root may give files away; to all others the file belongs already, or cannot.
            let _ = fchown(file, Some(old.uid()), Some(old.gid()));
        }
        if old.permissions().mode() & 0o7777 != 0o600 {
            let _ = file.set_permissions(old.permissions());
        }
    }

    /// Elsewhere the directory says who may use the file.
    #[cfg(not(unix))]
    pub(super) fn look_like(&self, _old: &Metadata) {}

    pub(super) fn write(&mut self, bytes: &[u8], files: &dyn Files) -> io::Result<()> {
        self.size += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES {
            self.write_buffer(files)?;
        }
        Ok(())
    }

    fn write_buffer(&mut self, files: &dyn Files) -> io::Result<()> {
        files.write(self.temporary.as_file(), &self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is buffered, and writes the start of the file anew.
    pub(super) fn begin_with(&mut self, start: &[u8], files: &dyn Files) -> io::Result<()> {
        self.write_buffer(files)?;
        self.temporary.as_file().rewind()?;
        files.write(self.temporary.as_file(), start)
    }

    /// Makes what was written so far durable.
    pub(super) fn sync(&mut self, files: &dyn Files) -> io::Result<()> {
        self.write_buffer(files)?;
        files.sync(self.temporary.as_file())
    }

    /// Replaces the target: other processes see the old version or the new one, nothing in between.
    pub(super) fn install(mut self, files: &dyn Files, durable: bool) -> io::Result<Stamp> {
        self.write_buffer(files)?;
        let file = self.temporary.as_file();
        // A time that no other write can have: the kernel's own time stands still for up to 10 ms.
        file.set_modified(unique_time())?;
        if durable {
            files.sync(file)?;
        }
        let written = Stamp::of(&file.metadata()?)?;
        let (file, path) = self.temporary.keep().map_err(|error| error.error)?;
        let stamp = match retry_sharing(|| files.rename(&path, &self.target)) {
            Ok(()) => {
                let named = Stamp::of(&file.metadata()?)?;
                // Whoever has written in between is seen by the older stamp, which no file has.
                if named.is_same_text(&written) {
                    named
                } else {
                    written
                }
            }
            Err(error) => {
                let written = if is_mount_point(&error) {
                    write_in_place(&path, &self.target, files)
                } else {
                    Err(error)
                };
                // The error that led here is the one to report.
                let _ = fs::remove_file(&path);
                written?
            }
        };
        if durable {
            sync_dir(parent_of(&self.target), files)?;
        }
        Ok(stamp)
    }
}

/// Now, to the nanosecond, and never to the millisecond.
fn unique_time() -> SystemTime {
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if since.subsec_nanos().is_multiple_of(1_000_000) {
        now + Duration::from_nanos(1)
    } else {
        now
    }
}

/// Whether a file cannot be replaced because it is mounted by itself, as containers do.
fn is_mount_point(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices
    )
}

fn write_in_place(from: &Path, target: &Path, files: &dyn Files) -> io::Result<Stamp> {
    let file = OpenOptions::new().write(true).open(target)?;
    let text = fs::read(from)?;
    files.truncate(&file, 0)?;
    files.write(&file, &text)?;
    file.set_modified(unique_time())?;
    Stamp::of(&file.metadata()?)
}

/// Makes the names in a directory durable.
#[cfg(unix)]
fn sync_dir(dir: &Path, files: &dyn Files) -> io::Result<()> {
    files.sync(&File::open(dir)?)
}

/// Windows does not open directories; it makes names durable by itself.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on unix it can fail")]
fn sync_dir(_dir: &Path, _files: &dyn Files) -> io::Result<()> {
    Ok(())
}

/// Removes the files of writers that died while writing.
pub(super) fn remove_drafts(target: &Path) {
    let prefix = temporary_prefix(target);
    let Ok(files) = fs::read_dir(parent_of(target)) else {
        return;
    };
    for file in files.flatten() {
        if file.file_name().to_string_lossy().starts_with(&prefix) {
            // A file that stays only takes space.
            let _ = fs::remove_file(file.path());
        }
    }
}

fn temporary_prefix(target: &Path) -> String {
    format!("{}.tmp-", file_name(target))
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

pub(super) fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

pub(super) fn retry_sharing<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 1..SHARING_TRIES {
        match call() {
            Err(error) if cfg!(windows) && error.kind() == io::ErrorKind::PermissionDenied => {
                thread::sleep(SHARING_PAUSE);
            }
            result => return result,
        }
    }
    call()
}
