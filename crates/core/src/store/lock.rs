//! The two locks of a commit: one between the threads of this process, one between processes.

use parking_lot::{Mutex, MutexGuard};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::files::Files;
use super::patience;
use crate::error::{Error, Result};
use crate::fs::locked_file::{self, Attempt, LockedFile};
use crate::fs::private::{open_or_create, open_or_create_in};
use crate::limits;

/// How often the lock's holder is looked up, for the error message.
#[cfg(target_os = "linux")]
const HOLDER_LOOKS: usize = 10;

/// The lock between processes: `sessions.lock` in the data directory.
///
/// On Linux the kernel knows the holder. Elsewhere the holder's process id is in the file, for the error message of a
/// process that waits in vain. Only this file is ever locked: where locks are mandatory (Windows), other programs could
/// not read a locked `sessions.json`.
///
/// A waiting process polls, since a wait in the kernel has no deadline. A process that commits all the time would starve
/// pollers. So each poll creates a file, `hosts/waiting`. A process that releases the lock removes this file and, if it
/// existed, backs off for longer than the pollers pause. A leftover file costs one such back-off.
pub(super) struct LockFile {
    path: PathBuf,
    waiting: PathBuf,
    /// Kept open from one commit to the next.
    file: Mutex<Option<File>>,
}

/// The lock, held until dropped.
pub(super) struct StoreLock<'a> {
    at: &'a LockFile,
    file: Option<File>,
}

impl LockFile {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            path: dir.join("sessions.lock"),
            waiting: dir.join("hosts").join("waiting"),
            file: Mutex::default(),
        }
    }

    /// Tries until the deadline, at least once.
    pub(super) fn acquire(&self, deadline: Instant, files: &dyn Files) -> Result<StoreLock<'_>> {
        let taken = match self.try_once(files) {
            Ok(None) => patience::spend(|| self.poll(deadline, files)),
            taken => taken,
        };
        match taken {
            Ok(Some(lock)) => Ok(lock),
            Ok(None) => Err(self.busy()),
            Err(error) => Err(Error::store(&self.path, "cannot lock", error)),
        }
    }

    /// `None` if the lock is not available at once, for whatever reason.
    pub(super) fn try_acquire(&self, files: &dyn Files) -> Option<StoreLock<'_>> {
        self.try_once(files).ok()?
    }

    /// Closes the file until it is needed again.
    pub(super) fn close(&self) {
        self.kept().take();
    }

    fn poll(&self, deadline: Instant, files: &dyn Files) -> io::Result<Option<StoreLock<'_>>> {
        let mut pause = Duration::from_micros(50);
        loop {
            if let Some(lock) = self.try_once(files)? {
                return Ok(Some(lock));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            // A directory in which no file can be created is no reason to fail here.
            let _ = open_or_create(&self.waiting);
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(limits::STORE_LOCK_POLL);
        }
    }

    fn try_once(&self, files: &dyn Files) -> io::Result<Option<StoreLock<'_>>> {
        // The kept file may belong to a directory that was deleted; other processes lock the present one.
        let kept = self.kept().take();
        for file in [kept, None] {
            let file = file.map_or_else(|| open_or_create_in(&self.path), Ok)?;
            match locked_file::attempt(file, &self.path, |file| files.try_lock(file))? {
                Attempt::Locked(file) => {
                    #[cfg(not(target_os = "linux"))]
                    note_holder(&file);
                    return Ok(Some(StoreLock {
                        at: self,
                        file: Some(file),
                    }));
                }
                Attempt::Held(file) => {
                    *self.kept() = Some(file);
                    return Ok(None);
                }
                Attempt::Replaced => {}
            }
        }
        Ok(None)
    }

    fn kept(&self) -> MutexGuard<'_, Option<File>> {
        self.file.lock()
    }

    /// The process that holds the lock. There may be none for a moment, between two of many processes that want it.
    #[cfg(target_os = "linux")]
    fn holder(&self) -> Option<u32> {
        (0..HOLDER_LOOKS).find_map(|look| {
            if look > 0 {
                thread::sleep(limits::STORE_LOCK_POLL);
            }
            locked_file::holder(&self.path)
        })
    }

    /// The process id in the file. `None` on Windows, where a locked file cannot be read.
    #[cfg(not(target_os = "linux"))]
    fn holder(&self) -> Option<u32> {
        use std::io::Read;
        let mut text = String::new();
        let file = File::open(&self.path).ok()?;
        file.take(32).read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }

    /// The error for a lock that another commit holds.
    pub(super) fn busy(&self) -> Error {
        let holder_pid = self.holder();
        let holder = holder_pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
        Error::Store {
            path: self.path.display().to_string(),
            reason: format!("locked by {holder}"),
            holder_pid,
            source: None,
        }
    }
}

impl Drop for StoreLock<'_> {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        // Unlocked explicitly, since a child between its fork and its exec holds a copy of the descriptor. After
        // an error here, closing has to suffice.
        if file.unlock().is_ok() {
            *self.at.kept() = Some(file);
        }
        if fs::remove_file(&self.at.waiting).is_ok() {
            thread::sleep(limits::STORE_LOCK_REST);
        }
    }
}

/// Errors are ignored: only a message depends on this, and a full disk must be reported where it matters.
#[cfg(not(target_os = "linux"))]
fn note_holder(mut file: &File) {
    use std::io::{Seek, Write};
    use std::process;
    let _ = file
        .rewind()
        .and_then(|()| file.write_all(format!("{:<10}\n", process::id()).as_bytes()));
}

/// Lets one process at a time write a big `sessions.json` without the store's lock. `None` if another process is
/// writing one.
pub(super) fn try_writing_big(dir: &Path) -> io::Result<Option<LockedFile>> {
    let path = dir.join("hosts").join("fold.lock");
    Ok(LockedFile::take(&path)?.ok())
}

/// Whether no process is writing a big `sessions.json`.
pub(super) fn nobody_writes_big(dir: &Path) -> bool {
    !dir.join("hosts").join("fold.lock").exists() || matches!(try_writing_big(dir), Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A holder may be stopped between its lock and its note.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_holder_is_named_though_the_file_still_names_its_predecessor() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("sessions.lock");
        fs::write(&path, "1         \n").expect("a file");
        let file = File::open(&path).expect("the file");
        file.lock().expect("a lock");
        let pid = std::process::id();
        assert!(
            matches!(LockFile::new(dir.path()).busy(), Error::Store { holder_pid: Some(holder), .. } if holder == pid)
        );
    }
}
