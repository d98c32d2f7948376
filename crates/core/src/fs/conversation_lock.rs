//! One writer per conversation: a file that is locked for as long as a process of ours may write to the conversation.
//!
//! If two CLI processes run on one conversation, both append to its transcript, and the turns of one are lost at the next
//! resume (measured). The CLI itself locks nothing. So a session locks the file of its conversation before it starts its
//! process, and releases it when that process has ended. The kernel frees the lock at any kind of death, so neither a
//! reused pid nor a reboot can make a dead process look like a holder.
//!
//! There are two such files: one in the data directory, for all programs that share it, containers included, and one in a
//! directory of the user, for hosts with other data directories. A file names the holder and its CLI. After a host was
//! killed, the next holder ends the CLI that it left in the conversation, if the host is proved to be dead. If it is not (the
//! file may be a copy, or the lock may have been lost), and the CLI still runs, the conversation counts as held. If one lock
//! is impossible (the directory cannot be written or is another user's, the file system has no locks), the other one has to
//! suffice, with a warning.
//!
//! The name is `ID.conversation.lock`, since `hosts` also has `ID.lock`, the instance lock of a host: the two kinds of id
//! must not be confused.

use super::locked_file::{self, LockedFile};
#[cfg(unix)]
use super::private::create_dir;
use crate::limits;
use crate::warnings;
use clearctx_proctree::{Birth, Fate, InstanceId, terminate};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

/// How the file's name ends, after the conversation's id.
const SUFFIX: &str = ".conversation.lock";

/// Most bytes of such a file that are read.
const CONTENT_BYTES: u64 = 1024;

/// Number of low bits of a mode that do not belong to the owner.
#[cfg(unix)]
const GROUP_AND_OTHERS: u32 = 6;

/// The files that this process has locked. A session that waits for the end of another session on the same conversation
/// shares its lock. The registry of sessions makes sure that the two never live at once.
static HELD: Mutex<BTreeMap<PathBuf, Locked>> = Mutex::new(BTreeMap::new());

struct Locked {
    file: LockedFile,
    /// Number of [`ConversationLock`]s of this process that share it.
    locks: usize,
}

/// The content of the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Content {
    /// The host.
    pid: u32,
    /// Tells it from other processes of its pid.
    #[serde(flatten)]
    birth: Option<Birth>,
    /// Its CLI.
    #[serde(default)]
    cli: Option<CliProcess>,
}

impl Content {
    /// That of this host.
    fn own(cli: Option<CliProcess>) -> Self {
        Self {
            pid: process::id(),
            birth: Birth::of_self().cloned(),
            cli,
        }
    }

    /// Whether its CLI runs and must not be ended, since the host may live.
    fn is_in_use(&self) -> bool {
        self.cli.as_ref().is_some_and(CliProcess::runs) && self.fate() != Some(Fate::Ended)
    }

    fn fate(&self) -> Option<Fate> {
        self.birth.as_ref().map(|birth| birth.fate(self.pid))
    }
}

/// A CLI process, by its pid and the id in its environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CliProcess {
    /// Process id.
    pub pid: u32,
    /// What its environment carries.
    pub instance: InstanceId,
}

impl CliProcess {
    /// Whether it is still there.
    fn runs(&self) -> bool {
        terminate::carries(self.pid, &self.instance)
    }
}

/// Identifies one of the CLI's configuration directories, each of which has conversations of its own. Equal in all
/// processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigDirId(u64);

impl ConfigDirId {
    /// The id of the directory at this path, with symbolic links resolved.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        // FNV-1a: the standard library's hash may change with its version.
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let bytes = real.as_os_str().as_encoded_bytes();
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
    }
}

impl fmt::Display for ConfigDirId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// Another process is writing to the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// That process. Unknown if a locked file cannot be read (Windows).
    pub pid: Option<u32>,
}

/// Why a conversation is not locked.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Another process has it.
    Held(Held),
    /// The system has no room for the lock: no space, no descriptors.
    System(io::Error),
}

/// Code of the warning that conversations are protected less than they should be.
const WARNING: &str = "CLEARCTX_CONVERSATION_LOCK";

/// The lock on a conversation, held until dropped.
#[derive(Debug)]
pub(crate) struct ConversationLock {
    conversation: String,
    config_dir: ConfigDirId,
    paths: Vec<PathBuf>,
    /// The CLI process that a dead host left behind in the conversation, if it still runs.
    pub left_over: Option<CliProcess>,
}

impl ConversationLock {
    /// Locks the conversation with this id for this process. `hosts` is the directory `hosts` of a data directory.
    ///
    /// Ids that are not UUIDs are titles to the CLI, which reports the id in the first init. Nothing is locked for them.
    ///
    /// # Errors
    /// [`Refusal::Held`] if another process has the lock, [`Refusal::System`] if there is no room for it.
    pub(crate) fn take(
        conversation: &str,
        config_dir: ConfigDirId,
        hosts: Option<&Path>,
    ) -> Result<Self, Refusal> {
        let mut paths = Vec::new();
        if let Ok(id) = uuid::Uuid::parse_str(conversation).map(uuid::Uuid::hyphenated) {
            paths.extend(hosts.map(|dir| dir.join(format!("{id}{SUFFIX}"))));
            match user_dir() {
                Ok(dir) => paths.push(dir.join(format!("{id}-{config_dir}{SUFFIX}"))),
                Err(error) => forgo(&user_path(), error)?,
            }
        }
        Self::take_at(conversation, config_dir, paths.into_iter())
    }

    fn take_at(
        conversation: &str,
        config_dir: ConfigDirId,
        paths: impl Iterator<Item = PathBuf>,
    ) -> Result<Self, Refusal> {
        let mut taken = Self {
            conversation: conversation.to_owned(),
            config_dir,
            paths: Vec::new(),
            left_over: None,
        };
        let mut held = held();
        for path in paths {
            match lock(&mut held, &path) {
                Ok(Ok(before)) => {
                    taken.paths.push(path);
                    let running = before.cli.filter(CliProcess::runs);
                    taken.left_over = taken.left_over.take().or(running);
                }
                refused => {
                    let refusal = match refused {
                        Ok(Err(other)) => Err(Refusal::Held(other)),
                        Err(error) => forgo(&path, error),
                        Ok(Ok(_)) => Ok(()),
                    };
                    if let Err(refusal) = refusal {
                        // Releasing takes the same lock.
                        drop(held);
                        return Err(refusal);
                    }
                }
            }
        }
        Ok(taken)
    }

    /// The CLI's configuration directory that contains the conversation.
    #[must_use]
    pub(crate) fn config_dir(&self) -> ConfigDirId {
        self.config_dir
    }

    /// The conversation's id.
    #[must_use]
    pub(crate) fn conversation(&self) -> &str {
        &self.conversation
    }

    /// Notes the process that writes, for a program that finds the file after this host was killed.
    pub(crate) fn note(&self, cli: CliProcess) {
        let content = Content::own(Some(cli));
        let mut held = held();
        for path in &self.paths {
            if let Some(locked) = held.get_mut(path) {
                write(locked.file.file(), &content);
            }
        }
    }
}

impl Drop for ConversationLock {
    fn drop(&mut self) {
        let mut held = held();
        for path in &self.paths {
            let Some(locked) = held.get_mut(path) else {
                continue;
            };
            locked.locks -= 1;
            if locked.locks == 0
                && let Some(locked) = held.remove(path)
            {
                // A file that stays is removed by the next sweep.
                let _ = locked.file.remove();
            }
        }
    }
}

/// Removes the files of dead hosts in `hosts`, and the old ones in the directory of the user, but none that is the trace of a
/// CLI that still runs.
pub(crate) fn remove_dead(hosts: &Path) {
    remove_dead_in(hosts, Duration::ZERO);
    if let Ok(dir) = user_dir() {
        remove_dead_in(&dir, limits::CONVERSATION_LOCK_AGE);
    }
}

fn remove_dead_in(dir: &Path, age: Duration) {
    let Ok(files) = fs::read_dir(dir) else { return };
    let held = held();
    for file in files.flatten() {
        let path = file.path();
        let is_lock = path.to_str().is_some_and(|path| path.ends_with(SUFFIX));
        let modified = file.metadata().and_then(|metadata| metadata.modified());
        let is_old = modified.is_ok_and(|time| time.elapsed().is_ok_and(|elapsed| elapsed >= age));
        if is_lock && is_old && !held.contains_key(&path) && !names_running(&path) {
            locked_file::remove_if_unlocked(&path);
        }
    }
}

/// Whether the file at this path names a CLI that runs.
fn names_running(path: &Path) -> bool {
    let content = File::open(path).ok().and_then(|mut file| read(&mut file));
    content
        .and_then(|content| content.cli)
        .is_some_and(|cli| cli.runs())
}

/// Goes on without a lock that cannot be had here, and warns once of what that means. What may be had another time, when
/// there is room, is an error.
fn forgo(path: &Path, error: io::Error) -> Result<(), Refusal> {
    use io::ErrorKind::{NotADirectory, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    let is_lasting = matches!(
        error.kind(),
        NotADirectory | PermissionDenied | ReadOnlyFilesystem | Unsupported
    );
    if !is_lasting && !has_no_locks(&error) {
        return Err(Refusal::System(error));
    }
    let path = path.display();
    let consequence = "A second program may continue a conversation that is in use";
    warnings::warn(
        WARNING,
        format!("Conversations cannot be locked at {path} ({error}). {consequence}"),
    );
    Ok(())
}

/// Whether the file system knows no locks.
#[cfg(unix)]
fn has_no_locks(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let none = [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP, Errno::INVAL];
    error
        .raw_os_error()
        .is_some_and(|code| none.contains(&Errno::from_raw_os_error(code)))
}

#[cfg(not(unix))]
fn has_no_locks(_error: &io::Error) -> bool {
    false
}

fn held() -> MutexGuard<'static, BTreeMap<PathBuf, Locked>> {
    HELD.lock()
}

/// Locks one file; returns what a dead holder wrote into it.
fn lock(held: &mut BTreeMap<PathBuf, Locked>, path: &Path) -> io::Result<Result<Content, Held>> {
    if let Some(locked) = held.get_mut(path) {
        locked.locks += 1;
        return Ok(Ok(Content::default()));
    }
    match LockedFile::take(path)? {
        Ok(mut locked) => {
            let before = read(locked.file()).unwrap_or_default();
            if before.is_in_use() {
                // Its file stays, for the next who asks.
                return Ok(Err(Held {
                    pid: Some(before.pid),
                }));
            }
            write(locked.file(), &Content::own(None));
            held.insert(
                path.to_owned(),
                Locked {
                    file: locked,
                    locks: 1,
                },
            );
            Ok(Ok(before))
        }
        Err(mut other) => {
            // A holder that was stopped before it wrote has left the name of its predecessor there.
            let mut written = || read(&mut other).filter(|content| content.fate() != Some(Fate::Ended));
            let pid = locked_file::holder(path).or_else(|| written().map(|content| content.pid));
            Ok(Err(Held { pid }))
        }
    }
}

fn read(file: &mut File) -> Option<Content> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(CONTENT_BYTES).read_to_string(&mut text).ok()?;
    serde_json::from_str(text.trim_end()).ok()
}

/// Writes in one piece, padded over the old content, since readers have no lock.
fn write(file: &mut File, content: &Content) {
    let text = serde_json::to_string(content).unwrap_or_default();
    // Errors are ignored: the content only makes an error message clearer and a leftover easier to find.
    let _ = file
        .rewind()
        .and_then(|()| file.write_all(format!("{text:<320}\n").as_bytes()));
}

/// A private directory of this user that is the same for all processes of the user, whatever their environment.
#[cfg(unix)]
fn user_dir() -> io::Result<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let dir = user_path();
    create_dir(&dir)?;
    // Any user can create that name: a link, or a directory of another user, must not be used.
    let found = fs::symlink_metadata(&dir)?;
    let refuse = |reason: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    if !found.is_dir() {
        return refuse("it is no directory".to_owned());
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return refuse(format!("it belongs to user {}", found.uid()));
    }
    if found.mode().trailing_zeros() < GROUP_AND_OTHERS {
        return refuse("others can enter it".to_owned());
    }
    Ok(dir)
}

#[cfg(unix)]
fn user_path() -> PathBuf {
    PathBuf::from(format!("/tmp/clearctx-{}", rustix::process::geteuid().as_raw()))
}

/// On this system the directory for temporary files is the user's own.
#[cfg(not(unix))]
fn user_path() -> PathBuf {
    std::env::temp_dir().join("clearctx")
}

#[cfg(not(unix))]
fn user_dir() -> io::Result<PathBuf> {
    let dir = user_path();
    super::private::create_dir(&dir)?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::super::private::open_or_create_in;
    use super::*;

    const ID: &str = "0b8f0c5e-3a55-4d0c-9a0e-3b6c3a0f8a11";

    fn take(dir: &Path) -> Result<ConversationLock, Held> {
        ConversationLock::take_at(ID, ConfigDirId(0), std::iter::once(file(dir))).map_err(|refusal| {
            match refusal {
                Refusal::Held(held) => held,
                Refusal::System(error) => panic!("{error}"),
            }
        })
    }

    fn file(dir: &Path) -> PathBuf {
        dir.join(format!("{ID}{SUFFIX}"))
    }

    #[test]
    fn locks_of_one_process_share_the_file_which_goes_with_the_last() {
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
        let mut other = open_or_create_in(&file(dir.path())).unwrap();
        other.try_lock().unwrap();
        let content = Content {
            pid: 7,
            ..Content::default()
        };
        write(&mut other, &content);
        // The kernel is preferred to the file if it knows the holder.
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
    fn the_file_of_a_dead_holder_is_swept_once_it_is_old() {
        let dir = tempfile::tempdir().unwrap();
        drop(open_or_create_in(&file(dir.path())).unwrap());
        remove_dead_in(dir.path(), Duration::from_secs(60));
        assert!(file(dir.path()).exists());
        remove_dead_in(dir.path(), Duration::ZERO);
        assert!(!file(dir.path()).exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_holder_left_is_told_only_if_the_holder_is_proved_dead() {
        let dir = tempfile::tempdir().unwrap();
        let mut running = process::Command::new("sleep")
            .arg("60")
            .env(clearctx_proctree::INSTANCE_VARIABLE, "m")
            .spawn()
            .unwrap();
        let cli = CliProcess {
            pid: running.id(),
            instance: "m".into(),
        };
        while !cli.runs() {
            std::thread::yield_now();
        }
        let left = |pid: u32, birth: Option<&Birth>| {
            let content = Content {
                pid,
                birth: birth.cloned(),
                cli: Some(cli.clone()),
            };
            write(&mut open_or_create_in(&file(dir.path())).unwrap(), &content);
            take(dir.path()).map(|taken| taken.left_over.clone())
        };
        let own = Birth::of_self();
        let mut ended = process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        // It lives; nobody knows; it has ended.
        for _ in 0..2 {
            assert_eq!(
                left(process::id(), own),
                Err(Held {
                    pid: Some(process::id())
                })
            );
            assert_eq!(left(7, None), Err(Held { pid: Some(7) }));
        }
        assert_eq!(left(ended.id(), own), Ok(Some(cli.clone())));
        running.kill().unwrap();
        running.wait().unwrap();
        assert_eq!(left(7, None), Ok(None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn no_room_for_a_lock_is_an_error_and_a_place_without_locks_is_none() {
        use rustix::io::Errno;
        let forgone = |errno: Errno| forgo(Path::new("lock"), errno.into()).is_ok();
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::MFILE, Errno::NFILE, Errno::IO] {
            assert!(!forgone(errno), "{errno}");
        }
        for errno in [
            Errno::ACCESS,
            Errno::PERM,
            Errno::ROFS,
            Errno::NOLCK,
            Errno::OPNOTSUPP,
        ] {
            assert!(forgone(errno), "{errno}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_cannot_be_made_for_want_of_room_refuses_the_conversation() {
        let dir = tempfile::tempdir().unwrap();
        // The one such error that can be provoked without a file system of its own.
        let paths = [file(dir.path()), dir.path().join("x".repeat(300))];
        let refused = ConversationLock::take_at(ID, ConfigDirId(0), paths.into_iter());
        assert!(matches!(refused, Err(Refusal::System(_))));
        assert!(!file(dir.path()).exists());
    }

    #[test]
    fn an_id_that_is_not_a_uuid_cannot_become_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let taken = ConversationLock::take("../x", ConfigDirId(0), Some(dir.path())).unwrap();
        assert_eq!(taken.paths, Vec::<PathBuf>::new());
    }
}
