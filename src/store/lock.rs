//! The two locks of a commit: one between the threads of this process, one between processes.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::file::{create_dir, open_or_create, store_error};
use super::files::Files;
use crate::error::{Error, Result};
use crate::limits;
use crate::locked_file;

/// Lets one thread of this process commit at a time. Unlike a mutex it can be waited for with a deadline.
#[derive(Default)]
pub(super) struct Gate {
    taken: Mutex<bool>,
    freed: Condvar,
}

/// Passage through a [`Gate`] until dropped.
pub(super) struct Passage<'a> {
    gate: &'a Gate,
}

impl Gate {
    pub(super) fn enter(&self) -> Passage<'_> {
        let taken = self.freed.wait_while(self.taken(), |taken| *taken);
        *taken.unwrap_or_else(PoisonError::into_inner) = true;
        Passage { gate: self }
    }

    /// `None` if another thread is in there.
    pub(super) fn try_enter(&self) -> Option<Passage<'_>> {
        let mut taken = self.taken();
        if *taken {
            return None;
        }
        *taken = true;
        Some(Passage { gate: self })
    }

    /// `None` if another thread does not leave before the deadline.
    pub(super) fn enter_until(&self, deadline: Instant) -> Option<Passage<'_>> {
        let patience = deadline.saturating_duration_since(Instant::now());
        let waited = self
            .freed
            .wait_timeout_while(self.taken(), patience, |taken| *taken);
        let (mut taken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *taken {
            return None;
        }
        *taken = true;
        Some(Passage { gate: self })
    }

    fn taken(&self) -> MutexGuard<'_, bool> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        *self.gate.taken() = false;
        self.gate.freed.notify_one();
    }
}

/// The lock between processes: `sessions.lock` in the data directory, held until dropped.
///
/// The holder's process id is in the file, for the error message of those who wait in vain and whose kernel does not
/// tell. Only this file is
/// ever locked: where locks are mandatory (Windows), a locked `sessions.json` could not be read by others.
///
/// Those who wait poll, since a wait in the kernel has no deadline. So that a process which commits all the time does
/// not keep them out, they put a file there, `hosts/waiting`, and who gives the lock back removes it and then leaves
/// the lock alone for longer than they pause. Left over, the file costs one such moment.
pub(super) struct StoreLock {
    file: File,
    waiting: PathBuf,
}

impl StoreLock {
    /// Tries until the deadline, at least once.
    pub(super) fn acquire(dir: &Path, deadline: Instant, files: &dyn Files) -> Result<Self> {
        let path = dir.join("sessions.lock");
        let waiting = dir.join("hosts").join("waiting");
        match poll(&path, &waiting, deadline, files) {
            Ok(Some(file)) => Ok(Self { file, waiting }),
            Ok(None) => Err(busy(dir)),
            Err(error) => Err(store_error(&path, "cannot lock", &error)),
        }
    }

    /// `None` if it is not to be had at once, whatever the reason.
    pub(super) fn try_acquire(dir: &Path, files: &dyn Files) -> Option<Self> {
        let file = try_once(&dir.join("sessions.lock"), files).ok()??;
        let waiting = dir.join("hosts").join("waiting");
        Some(Self { file, waiting })
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        // Not left to closing: a child between its fork and its exec holds a copy of the descriptor. An error
        // here means that closing must do.
        let _ = self.file.unlock();
        if fs::remove_file(&self.waiting).is_ok() {
            thread::sleep(limits::STORE_LOCK_REST);
        }
    }
}

/// Lets one process at a time write a big `sessions.json`, which it does without the store's lock. `None` if
/// another process does; the lock is given back when the file is dropped.
pub(super) fn try_folding(dir: &Path) -> io::Result<Option<File>> {
    let hosts = dir.join("hosts");
    create_dir(&hosts)?;
    let file = open_or_create(&hosts.join("fold.lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether no process writes a big `sessions.json` at the moment.
pub(super) fn nobody_folds(dir: &Path) -> bool {
    !dir.join("hosts").join("fold.lock").exists() || matches!(try_folding(dir), Ok(Some(_)))
}

/// The error for a lock that another commit holds.
pub(super) fn busy(dir: &Path) -> Error {
    let path = dir.join("sessions.lock");
    let holder_pid = locked_file::holder(&path).or_else(|| read_holder(&path));
    let holder = holder_pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    Error::Store {
        path: path.display().to_string(),
        reason: format!("locked by {holder}"),
        holder_pid,
    }
}

fn poll(path: &Path, waiting: &Path, deadline: Instant, files: &dyn Files) -> io::Result<Option<File>> {
    let mut pause = Duration::from_micros(50);
    loop {
        if let Some(file) = try_once(path, files)? {
            return Ok(Some(file));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        // A directory that takes no files is no reason to fail here.
        let _ = open_or_create(waiting);
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(limits::STORE_LOCK_POLL);
    }
}

fn try_once(path: &Path, files: &dyn Files) -> io::Result<Option<File>> {
    let mut file = match open_or_create(path) {
        // The data directory was deleted under a running host.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_dir(path.parent().unwrap_or(path))?;
            open_or_create(path)?
        }
        opened => opened?,
    };
    match files.try_lock(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if !locked_file::is_still_at(&file, path) {
        return Ok(None);
    }
    // Only a message depends on it; a full disk must show where it matters.
    let _ = file
        .rewind()
        .and_then(|()| file.write_all(format!("{:<10}\n", process::id()).as_bytes()));
    Ok(Some(file))
}

/// The process id in the lock file. `None` on Windows, where a locked file cannot be read.
fn read_holder(path: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(path).ok()?.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_passes_the_gate_at_a_time() {
        let gate = Gate::default();
        let passage = gate.enter();
        assert!(gate.enter_until(Instant::now()).is_none());
        drop(passage);
        assert!(gate.enter_until(Instant::now()).is_some());
        drop(gate.enter());
    }

    /// A holder may be stopped between its lock and its note.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_holder_is_named_though_the_file_still_names_its_predecessor() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("sessions.lock");
        fs::write(&path, "1         \n").expect("a file");
        let file = File::open(&path).expect("the file");
        file.lock().expect("a lock");
        let pid = process::id();
        assert!(matches!(busy(dir.path()), Error::Store { holder_pid: Some(holder), .. } if holder == pid));
    }
}
