//! `sessions.json` on disk: its stamp, its text, its atomic replacement, and moving a broken one aside.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::draft::Draft;
use super::print::{self, Print};
use super::scan::{self, Text};
use crate::clock;
use crate::error::{Error, Result};

/// How often a read is repeated because the file was being written in place.
const TORN_READS: usize = 10;

/// Tries and pause for a call that fails while another process briefly uses the file (Windows: virus scanners, readers).
const SHARING_TRIES: usize = 10;
const SHARING_PAUSE: Duration = Duration::from_millis(5);

/// Distinguishes one version of the file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    identity: (u64, u64),
    size: u64,
    modified: SystemTime,
    changed: SystemTime,
}

impl Stamp {
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let seconds = Duration::from_secs(metadata.ctime().try_into().unwrap_or_default());
        let nanos = Duration::from_nanos(metadata.ctime_nsec().try_into().unwrap_or_default());
        Ok(Self {
            identity: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: metadata.modified()?,
            // Unlike `modified` no program can set it back.
            changed: SystemTime::UNIX_EPOCH + seconds + nanos,
        })
    }

    #[cfg(not(unix))]
    pub(super) fn of(metadata: &Metadata) -> io::Result<Self> {
        let modified = metadata.modified()?;
        let created = metadata.created().unwrap_or(modified);
        Ok(Self {
            identity: (0, 0),
            size: metadata.len(),
            modified,
            changed: modified.max(created),
        })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// When the file was last written, in ns since 1970.
    pub(super) fn modified(&self) -> u64 {
        print::nanos(self.modified)
    }

    /// Whether the contents are the same: a rename changes none.
    pub(super) fn is_same_text(&self, other: &Self) -> bool {
        (self.identity, self.size, self.modified) == (other.identity, other.size, other.modified)
    }

    /// Time from the last change of the file to `now`. Zero if the file is from the future.
    pub(super) fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.changed.max(self.modified))
            .unwrap_or_default()
    }
}

/// One version of the file.
pub(super) struct Version {
    pub(super) stamp: Stamp,
    pub(super) text: Text,
    /// Of the content.
    pub(super) print: Print,
}

/// `sessions.json` of one data directory. May be a symbolic link: its target is replaced then, not the link.
pub(super) struct SessionsFile {
    path: PathBuf,
}

impl SessionsFile {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            path: dir.join("sessions.json"),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The current version's stamp, `None` if there is no file.
    pub(super) fn stamp(&self) -> Result<Option<Stamp>> {
        let stamp = retry_sharing(|| fs::metadata(&self.path)).and_then(|metadata| Stamp::of(&metadata));
        absent_is_none(stamp).map_err(|error| Error::store(&self.path, "cannot read", error))
    }

    /// Reads the current version, `None` if there is no file.
    pub(super) fn read(&self) -> Result<Option<Version>> {
        absent_is_none(self.read_settled()).map_err(|error| Error::store(&self.path, "cannot read", error))
    }

    fn read_settled(&self) -> io::Result<Version> {
        let mut version = self.read_once()?;
        for _ in 1..TORN_READS {
            if version.0 == version.1.stamp {
                break;
            }
            version = self.read_once()?;
        }
        Ok(version.1)
    }

    /// The stamp after reading, and the version that was read, with the stamp before.
    fn read_once(&self) -> io::Result<(Stamp, Version)> {
        let file = retry_sharing(|| File::open(&self.path))?;
        let stamp = Stamp::of(&file.metadata()?)?;
        let (text, hash) = scan::scan(file.try_clone()?, stamp)?;
        let print = Print {
            size: stamp.size,
            modified: print::nanos(stamp.modified),
            hash,
        };
        Ok((Stamp::of(&file.metadata()?)?, Version { stamp, text, print }))
    }

    /// A new version, which replaces the old one when it is installed.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        Draft::new(self.target()?)
    }

    /// Renames a file that cannot be parsed, never over another one. The caller holds the lock.
    pub(super) fn move_aside(&self) -> Result<PathBuf> {
        let moved = self.target().and_then(|target| {
            let aside = free_name(&target);
            fs::rename(&target, &aside).map(|()| aside)
        });
        moved.map_err(|error| Error::store(&self.path, "is not valid JSON and cannot be moved aside", error))
    }

    /// The error for a file that is not a JSON object.
    pub(super) fn broken(&self) -> Error {
        let reason = "is not a JSON object".to_owned();
        Error::Store {
            path: self.path.display().to_string(),
            reason,
            holder_pid: None,
            source: None,
        }
    }

    /// Removes the files of writers that died while writing. The caller holds the lock, so no such file is in use.
    pub(super) fn remove_leftovers(&self, journal: &Path) {
        if let Ok(target) = self.target() {
            remove_drafts(&target);
        }
        remove_drafts(journal);
    }

    /// The file itself, at the end of all symbolic links. It need not exist.
    fn target(&self) -> io::Result<PathBuf> {
        let mut path = self.path.clone();
        for _ in 0..40 {
            match fs::read_link(&path) {
                Ok(next) => path = parent_of(&path).join(next),
                Err(_) => return Ok(path),
            }
        }
        Err(io::Error::other("too many symbolic links"))
    }
}

fn remove_drafts(target: &Path) {
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

pub(super) fn free_name(target: &Path) -> PathBuf {
    let base = format!("{}.corrupt-{}", file_name(target), compact_time());
    let names = (1u32..).map(|n| {
        if n == 1 {
            base.clone()
        } else {
            format!("{base}-{n}")
        }
    });
    let mut paths = names.map(|name| target.with_file_name(name));
    paths
        .find(|path| fs::symlink_metadata(path).is_err())
        .unwrap_or_else(|| target.with_file_name(base.clone()))
}

/// Now, in a form for file names: `20261122T070400123Z`.
fn compact_time() -> String {
    clock::timestamp().replace(['-', ':', '.'], "")
}

pub(super) fn temporary_prefix(target: &Path) -> String {
    format!("{}.tmp-", file_name(target))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

pub(super) fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
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
