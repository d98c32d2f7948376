//! Locks on files between processes. After a file is locked, its path is checked again: between opening and locking, the
//! last holder may have removed the file, or another program may have replaced it. Others would then lock the new one.

use super::private::{create_dir, create_new, open_or_create_in};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// How often a file is opened again because it was replaced in between.
const TRIES: usize = 100;

/// A file that this process has locked, until dropped; the kernel frees the lock at any kind of death.
#[derive(Debug)]
pub(crate) struct LockedFile {
    file: File,
    path: PathBuf,
}

/// The result of one try to lock a file.
pub(crate) enum Attempt {
    /// It is locked, and others find it at its path.
    Locked(File),
    /// Another process has locked it.
    Held(File),
    /// It is no longer the file at its path.
    Replaced,
}

/// Tries once to lock `file`, which was opened at `path`, with the given function.
pub(crate) fn attempt(
    file: File,
    path: &Path,
    try_lock: impl FnOnce(&File) -> Result<(), TryLockError>,
) -> io::Result<Attempt> {
    match try_lock(&file) {
        Ok(()) if is_still_at(&file, path) => Ok(Attempt::Locked(file)),
        Ok(()) => {
            unlock(&file);
            Ok(Attempt::Replaced)
        }
        Err(TryLockError::WouldBlock) => Ok(Attempt::Held(file)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

impl LockedFile {
    /// Locks the file at `path`; creates it if it does not exist. The inner `Err` is the file that another process has
    /// locked, to be read.
    pub(crate) fn take(path: &Path) -> io::Result<Result<Self, File>> {
        for _ in 0..TRIES {
            match attempt(open_or_create_in(path)?, path, File::try_lock)? {
                Attempt::Locked(file) => {
                    let path = path.to_owned();
                    return Ok(Ok(Self { file, path }));
                }
                Attempt::Held(file) => return Ok(Err(file)),
                Attempt::Replaced => {}
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Creates a new file at `path` and replaces any other. It is locked before it gets its name, so no process ever sees it
    /// unlocked.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            create_dir(parent)?;
        }
        let unfinished = path.with_extension("tmp");
        let file = create_new(&unfinished)?;
        let named = file
            .try_lock()
            .map_err(io::Error::from)
            .and_then(|()| fs::rename(&unfinished, path));
        match named {
            Ok(()) => Ok(Self {
                file,
                path: path.to_owned(),
            }),
            Err(error) => {
                // The error that led here is the one to report.
                let _ = fs::remove_file(&unfinished);
                Err(error)
            }
        }
    }

    /// The file itself, open for reading and writing.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Removes the file and releases the lock, in this order: a process that locks it afterwards sees that it is no longer
    /// the file at its path. A file that is there in its place, since somebody removed ours, is its holder's.
    pub(crate) fn remove(self) -> io::Result<()> {
        if is_still_at(&self.file, &self.path) {
            fs::remove_file(&self.path)
        } else {
            Ok(())
        }
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        unlock(&self.file);
    }
}

/// Unlocks explicitly, since a child between its fork and its exec holds a copy of the descriptor.
fn unlock(file: &File) {
    // After an error, closing has to suffice.
    let _ = file.unlock();
}

/// Whether a process has locked the file at this path, if there is one.
///
/// If locks do not work at all, the file counts as locked: to take a live process for dead is worse than the reverse.
pub(crate) fn is_locked(path: &Path) -> bool {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return error.kind() != io::ErrorKind::NotFound,
    };
    // A shared lock, so that two processes that ask at once do not take each other for the holder.
    let is_free = file.try_lock_shared().is_ok();
    if is_free {
        unlock(&file);
    }
    !is_free
}

/// Removes the file at this path if no process has locked it. In a read-only directory it stays.
pub(crate) fn remove_if_unlocked(path: &Path) {
    let remove = || {
        if let Attempt::Locked(file) = attempt(File::open(path)?, path, File::try_lock)? {
            let path = path.to_owned();
            LockedFile { file, path }.remove()?;
        }
        Ok::<_, io::Error>(())
    };
    let _ = remove();
}

/// Whether a locked file is the one that others will lock.
#[cfg(unix)]
fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(locked), Ok(current)) if identity(&locked) == identity(&current))
}

#[cfg(not(unix))]
fn is_still_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// The process that has locked the file at this path, according to the kernel.
///
/// A holder writes its pid into the file a moment after it locks; if it is stopped in between, the file still names its
/// predecessor. `None` if the kernel does not know: on other systems than Linux, and across containers.
///
/// Some file systems (overlayfs, btrfs) show `stat` another device than the kernel has. Then the inode alone has to tell, if
/// no other file of that number is locked.
#[cfg(target_os = "linux")]
pub(crate) fn holder(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let device = (
        rustix::fs::major(metadata.dev()),
        rustix::fs::minor(metadata.dev()),
    );
    holder_in(&locks, device, metadata.ino())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn holder(_path: &Path) -> Option<u32> {
    None
}

#[cfg(target_os = "linux")]
fn holder_in(locks: &str, device: (u32, u32), inode: u64) -> Option<u32> {
    let holders: Vec<_> = locks
        .lines()
        .filter_map(held_by)
        .filter(|(_, _, locked)| *locked == inode)
        .collect();
    let exact = holders.iter().find(|(_, of, _)| *of == device);
    match (exact, &holders[..]) {
        (Some((pid, ..)), _) | (None, [(pid, ..)]) => Some(*pid),
        _ => None,
    }
}

/// The process that holds a lock, and the device and inode of the file. A line is
/// `1: FLOCK  ADVISORY  WRITE 12780 fe:00:10011997 0 EOF`; a waiter has `->` before the kind.
#[cfg(target_os = "linux")]
fn held_by(line: &str) -> Option<(u32, (u32, u32), u64)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let pid = words.nth(2)?.parse().ok().filter(|pid| *pid != 0)?;
    let mut parts = words.next()?.split(':');
    let mut hex = || u32::from_str_radix(parts.next()?, 16).ok();
    let device = (hex()?, hex()?);
    Some((pid, device, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn a_file_that_was_replaced_is_not_taken_for_the_one_at_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let old = open_or_create_in(&path).unwrap();
        fs::rename(&path, dir.path().join("old")).unwrap();
        let mut locked = LockedFile::take(&path).unwrap().unwrap();
        assert!(is_still_at(locked.file(), &path));
        #[cfg(unix)]
        assert!(matches!(
            attempt(old, &path, File::try_lock).unwrap(),
            Attempt::Replaced
        ));
        #[cfg(not(unix))]
        drop(old);
    }

    #[test]
    fn a_file_is_removed_only_if_nobody_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!is_locked(&path));
        let locked = LockedFile::create(&path).unwrap();
        assert!(is_locked(&path));
        assert!(LockedFile::take(&path).unwrap().is_err());
        remove_if_unlocked(&path);
        assert!(path.exists());
        drop(locked);
        assert!(!is_locked(&path));
        remove_if_unlocked(&path);
        assert!(!path.exists());
        LockedFile::take(&path).unwrap().unwrap().remove().unwrap();
        assert!(!path.exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_names_the_holder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(holder(file.path()), None);
        file.as_file().lock().unwrap();
        assert_eq!(holder(file.path()), Some(std::process::id()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_line_tells_who_holds_which_file() {
        let other = "1: FLOCK  ADVISORY  WRITE 126 00:2a:42 0 EOF";
        let holds = "3: FLOCK  ADVISORY  WRITE 127 fe:00:42 0 EOF";
        let both = format!("{other}\n{holds}");
        assert_eq!(holder_in(&both, (0xfe, 0), 42), Some(127));
        assert_eq!(holder_in(holds, (0, 7), 42), Some(127));
        // Two files of that number on devices that are not known.
        assert_eq!(holder_in(&both, (0, 7), 42), None);
        assert_eq!(holder_in(holds, (0xfe, 0), 4), None);
        let none = [
            "3: -> FLOCK  ADVISORY  WRITE 128 fe:00:42 0 EOF",
            "4: POSIX  ADVISORY  WRITE 129 fe:00:42 0 EOF",
            "5: FLOCK  ADVISORY  WRITE 0 fe:00:42 0 EOF",
            "",
        ];
        for line in none {
            assert_eq!(holder_in(line, (0xfe, 0), 42), None);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_was_lost_to_a_cleaner_takes_no_other_holders_file_along() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lost = LockedFile::take(&path).unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        let next = LockedFile::take(&path).unwrap().unwrap();
        lost.remove().unwrap();
        assert!(path.exists() && is_locked(&path));
        next.remove().unwrap();
        assert!(!path.exists());
    }
}
