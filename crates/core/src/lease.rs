//! One writer per conversation: a file that is locked for as long as a process of ours may write to it.
//!
//! Two CLI processes on one conversation both append to its transcript, and the turns of one of them are lost at the
//! next resume (measured); the CLI itself locks nothing. So a session takes the file of its conversation before its
//! process is started and gives it back when that has ended. The kernel frees the lock at any kind of death, so neither
//! a pid that was given to a stranger nor a reboot makes a holder of one who is gone.
//!
//! The file is there twice: in the data directory, for all who share that, in containers too, and in a directory of the
//! user, for hosts with other data directories. It names the holder and its CLI: of a host that was killed, what is
//! left in the conversation is ended by the one who comes next. Where a lock cannot be had at all (a directory that
//! takes no files, a file system without locks), the other one has to do.

use crate::limits;
use crate::locked_file;
use clearctx_proctree::InstanceId;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

/// How often a file is opened again because its last holder removed it meanwhile.
const TRIES: usize = 100;

/// Most bytes of a lease that are read.
const CONTENT_BYTES: u64 = 1024;

/// How many low bits of a mode are those of others than the owner.
#[cfg(unix)]
const GROUP_AND_OTHERS: u32 = 6;

/// The files that this process has locked. A session that waits for the end of another one on the same conversation
/// shares its lease; that no two of them live at once is the engine's business.
static HELD: Mutex<BTreeMap<PathBuf, Locked>> = Mutex::new(BTreeMap::new());

struct Locked {
    file: File,
    /// How many leases of this process are on it.
    leases: usize,
}

/// What is in the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Content {
    /// The host.
    pid: u32,
    /// Its CLI.
    #[serde(default)]
    cli: Option<LeftOver>,
}

/// A CLI process, by its pid and the id in its environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOver {
    /// Process id.
    pub pid: u32,
    /// What its environment carries.
    pub instance: InstanceId,
}

/// Another process writes to the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// That process. Unknown where a locked file cannot be read (Windows).
    pub pid: Option<u32>,
}

/// The right to write to a conversation, until dropped.
#[derive(Debug)]
pub struct Lease {
    conversation: String,
    home: u64,
    paths: Vec<PathBuf>,
    /// What a host that has died left behind in the conversation, if it is still there.
    pub left_over: Option<LeftOver>,
}

impl Lease {
    /// Takes the conversation with this id for this process. `hosts` is the directory `hosts` of a data directory.
    ///
    /// `home` tells the CLI's configuration directories apart, each of which has its own conversations.
    /// Ids that are no UUIDs are titles to the CLI, which tells the id in the first init: nothing is locked for them.
    ///
    /// # Errors
    /// [`Held`], if another process has it.
    pub fn take(conversation: &str, home: u64, hosts: Option<&Path>) -> Result<Self, Held> {
        let id = uuid::Uuid::parse_str(conversation).map(uuid::Uuid::hyphenated);
        let paths = id.map(|id| {
            [
                hosts.map(|dir| dir.join(format!("{id}.lease"))),
                user_dir().map(|dir| dir.join(format!("{id}-{home:016x}.lease"))),
            ]
        });
        Self::take_at(conversation, home, paths.into_iter().flatten().flatten())
    }

    fn take_at(conversation: &str, home: u64, paths: impl Iterator<Item = PathBuf>) -> Result<Self, Held> {
        let mut lease = Self {
            conversation: conversation.to_owned(),
            home,
            paths: Vec::new(),
            left_over: None,
        };
        let mut held = held();
        for path in paths {
            match lock(&mut held, &path) {
                Ok(Ok(before)) => {
                    lease.paths.push(path);
                    lease.left_over = lease.left_over.take().or(before.cli);
                }
                Ok(Err(other)) => {
                    // Giving back takes the same lock.
                    drop(held);
                    return Err(other);
                }
                Err(_) => {}
            }
        }
        Ok(lease)
    }

    /// Which of the CLI's configuration directories it is in.
    #[must_use]
    pub fn home(&self) -> u64 {
        self.home
    }

    /// The conversation's id.
    #[must_use]
    pub fn conversation(&self) -> &str {
        &self.conversation
    }

    /// Names the process that writes, for whoever finds the file when this host was killed.
    pub fn name(&self, cli: LeftOver) {
        let content = Content {
            pid: process::id(),
            cli: Some(cli),
        };
        let mut held = held();
        for path in &self.paths {
            if let Some(locked) = held.get_mut(path) {
                write(&mut locked.file, &content);
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = held();
        for path in &self.paths {
            let Some(locked) = held.get_mut(path) else {
                continue;
            };
            locked.leases -= 1;
            if locked.leases == 0
                && let Some(locked) = held.remove(path)
            {
                // Removed while it is locked: whoever locks it now sees that it is not the one at its place.
                let _ = fs::remove_file(path);
                // Not left to closing: a child between its fork and its exec holds a copy of the descriptor.
                let _ = locked.file.unlock();
            }
        }
    }
}

/// Removes what hosts that have died left in `hosts`, and, when it is old, in the directory of the user: until then it
/// may be the only thing that tells of a CLI that is left.
pub fn remove_dead(hosts: &Path) {
    remove_dead_in(hosts, Duration::ZERO);
    if let Some(dir) = user_dir() {
        remove_dead_in(&dir, limits::LEASE_AGE);
    }
}

fn remove_dead_in(dir: &Path, age: Duration) {
    let Ok(files) = fs::read_dir(dir) else { return };
    let held = held();
    for file in files.flatten() {
        let path = file.path();
        let is_lease = path.extension().is_some_and(|extension| extension == "lease");
        let modified = file.metadata().and_then(|metadata| metadata.modified());
        let is_old = modified.is_ok_and(|time| time.elapsed().is_ok_and(|elapsed| elapsed >= age));
        if is_lease && is_old && !held.contains_key(&path) {
            // In a read-only directory it stays, and counts for nothing.
            let _ = remove_if_dead(&path);
        }
    }
}

fn remove_if_dead(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    if file.try_lock().is_ok() && locked_file::is_still_at(&file, path) {
        fs::remove_file(path)?;
        file.unlock()?;
    }
    Ok(())
}

fn held() -> MutexGuard<'static, BTreeMap<PathBuf, Locked>> {
    HELD.lock()
}

/// Locks one file; what a dead holder wrote into it.
fn lock(held: &mut BTreeMap<PathBuf, Locked>, path: &Path) -> io::Result<Result<Content, Held>> {
    if let Some(locked) = held.get_mut(path) {
        locked.leases += 1;
        return Ok(Ok(Content::default()));
    }
    for _ in 0..TRIES {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) if !locked_file::is_still_at(&file, path) => {}
            Ok(()) => {
                let before = read(&mut file).unwrap_or_default();
                let content = Content {
                    pid: process::id(),
                    cli: None,
                };
                write(&mut file, &content);
                held.insert(path.to_owned(), Locked { file, leases: 1 });
                return Ok(Ok(before));
            }
            Err(TryLockError::WouldBlock) => {
                let pid = locked_file::holder(path).or_else(|| read(&mut file).map(|content| content.pid));
                return Ok(Err(Held { pid }));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).or_else(|error| {
        let Some(dir) = path.parent().filter(|_| error.kind() == io::ErrorKind::NotFound) else {
            return Err(error);
        };
        create_dir(dir)?;
        options.open(path)
    })
}

fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.recursive(true).create(dir)
}

fn read(file: &mut File) -> Option<Content> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(CONTENT_BYTES).read_to_string(&mut text).ok()?;
    serde_json::from_str(text.trim_end()).ok()
}

/// In one piece, padded over what was there before: a reader has no lock.
fn write(file: &mut File, content: &Content) {
    let text = serde_json::to_string(content).unwrap_or_default();
    // It only makes an error more telling, and a leftover easier to find.
    let _ = file
        .rewind()
        .and_then(|()| file.write_all(format!("{text:<160}\n").as_bytes()));
}

/// A directory of this user alone that is the same for all processes of the user, whatever their environment.
#[cfg(unix)]
fn user_dir() -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::geteuid().as_raw();
    let dir = PathBuf::from(format!("/tmp/clearctx-{user}"));
    create_dir(&dir).ok()?;
    // Anybody may make that name: a link, or a directory of another user, is not ours to write to.
    let found = fs::symlink_metadata(&dir).ok()?;
    (found.is_dir() && found.uid() == user && found.mode().trailing_zeros() >= GROUP_AND_OTHERS)
        .then_some(dir)
}

/// The directory for temporary files is the user's own here.
#[cfg(not(unix))]
fn user_dir() -> Option<PathBuf> {
    Some(std::env::temp_dir().join("clearctx"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    const ID: &str = "0b8f0c5e-3a55-4d0c-9a0e-3b6c3a0f8a11";

    fn take(dir: &Path) -> Result<Lease, Held> {
        Lease::take_at(ID, 0, std::iter::once(file(dir)))
    }

    fn file(dir: &Path) -> PathBuf {
        dir.join(format!("{ID}.lease"))
    }

    #[test]
    fn leases_of_one_process_share_the_file_which_goes_with_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (take(dir.path()).unwrap(), take(dir.path()).unwrap());
        drop(first);
        assert!(file(dir.path()).exists());
        assert!(File::open(file(dir.path())).unwrap().try_lock().is_err());
        drop(second);
        assert!(!file(dir.path()).exists());
    }

    #[test]
    fn a_file_that_somebody_else_has_locked_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let mut other = open(&file(dir.path())).unwrap();
        other.try_lock().unwrap();
        write(&mut other, &Content { pid: 7, cli: None });
        // The kernel knows better than the file, where it tells.
        let pid = if cfg!(target_os = "linux") {
            process::id()
        } else {
            7
        };
        assert_eq!(take(dir.path()).unwrap_err(), Held { pid: Some(pid) });
        remove_dead_in(dir.path(), Duration::ZERO);
        assert!(file(dir.path()).exists());
        drop(other);
        assert!(take(dir.path()).is_ok());
    }

    #[test]
    fn what_a_dead_holder_left_is_told_and_its_file_swept() {
        let dir = tempfile::tempdir().unwrap();
        let cli = LeftOver {
            pid: 9,
            instance: "m".into(),
        };
        take(dir.path()).unwrap().name(cli.clone());
        let mut dead = open(&file(dir.path())).unwrap();
        let content = Content {
            pid: 7,
            cli: Some(cli.clone()),
        };
        write(&mut dead, &content);
        drop(dead);
        assert_eq!(take(dir.path()).unwrap().left_over, Some(cli));
        drop(open(&file(dir.path())).unwrap());
        remove_dead_in(dir.path(), Duration::from_secs(60));
        assert!(file(dir.path()).exists());
        remove_dead_in(dir.path(), Duration::ZERO);
        assert!(!file(dir.path()).exists());
    }

    #[test]
    fn an_id_that_is_no_uuid_cannot_become_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let taken = Lease::take("../x", 0, Some(dir.path())).unwrap();
        assert_eq!(taken.paths, Vec::<PathBuf>::new());
    }
}
