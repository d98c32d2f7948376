//! `sessions.json` on disk: what it holds, and how it is replaced. May be a symbolic link: its target is replaced then.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::contents::Contents;
use super::draft::{Draft, file_name, parent_of, remove_drafts, retry_sharing};
use super::scan::{self, Text};
use super::stamp::Stamp;
use crate::clock;
use crate::error::{Error, Result};
use crate::sys;

/// How often a read is repeated because the file was being written in place.
const TORN_READS: usize = 10;

/// Tries and pause for a process that is just being started.
pub(super) const STARTING_TRIES: usize = 5;
const STARTING_PAUSE: Duration = Duration::from_micros(if cfg!(test) { 1 } else { 300 });

/// What the file holds.
pub(super) enum Look {
    Missing,
    /// Another program has it open to write, or writes it just now.
    Busy,
    /// Nothing, or white space.
    Blank(Stamp),
    /// No JSON object.
    Broken(Stamp),
    Records(Contents, Stamp),
}

/// `sessions.json` of one data directory.
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

    /// Reads the current version. `tries` says how often it looks whether the file is free to be read.
    pub(super) fn look(&self, tries: usize) -> Result<Look> {
        let look = (|| {
            for _ in 0..TORN_READS {
                let Some(file) = absent_is_none(retry_sharing(|| File::open(&self.path)))? else {
                    return Ok(Look::Missing);
                };
                if is_busy(&file, tries) == Some(true) {
                    return Ok(Look::Busy);
                }
                let stamp = Stamp::of(&file.metadata()?)?;
                let text = scan::scan(file.try_clone()?, stamp)?;
                if Stamp::of(&file.metadata()?)? == stamp {
                    return Ok(match text {
                        Text::Blank => Look::Blank(stamp),
                        Text::Broken => Look::Broken(stamp),
                        Text::Object(contents) => Look::Records(contents, stamp),
                    });
                }
            }
            Ok(Look::Busy)
        })();
        look.map_err(|error| Error::store(&self.path, "cannot read", error))
    }

    /// Whether the system can tell who has the file open.
    pub(super) fn shows_writers(&self) -> bool {
        File::open(&self.path).is_ok_and(|file| sys::is_open_to_write(&file).is_some())
    }

    /// A new version, which replaces the old one when it is installed.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        let target = self.target()?;
        let old = fs::metadata(&target).ok();
        let draft = Draft::new(target)?;
        if let Some(old) = old {
            draft.look_like(&old);
        }
        Ok(draft)
    }

    /// Renames a file that cannot be read, never over another one. The caller holds the lock.
    pub(super) fn move_aside(&self) -> io::Result<PathBuf> {
        let target = self.target()?;
        let aside = free_name(&target, "corrupt");
        fs::rename(&target, &aside).map(|()| aside)
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

/// Whether a program has the file open to write. A process that is just being started has copies of our own descriptors
/// for a moment.
fn is_busy(file: &File, tries: usize) -> Option<bool> {
    for _ in 1..tries {
        let busy = sys::is_open_to_write(file);
        if busy != Some(true) {
            return busy;
        }
        thread::sleep(STARTING_PAUSE);
    }
    sys::is_open_to_write(file)
}

/// A name for something that is kept aside.
pub(super) fn free_name(target: &Path, why: &str) -> PathBuf {
    let base = format!("{}.{why}-{}", file_name(target), compact_time());
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

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
