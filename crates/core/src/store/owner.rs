//! Who owns a record, and whether that host process still lives.
//!
//! Each host process holds an instance lock, a file of its own, `hosts/<uuid>.lock` in the data directory, until it
//! ends; the kernel frees the lock at any kind of death. A locked file proves that its host lives. One that is missing or not
//! locked proves nothing: the directory may be a copy, or somebody may have removed the file. So a record also says which
//! process its host is, and in which directory it was written; only an ended process of this boot and this pid namespace is
//! dead.

use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clearctx_proctree::{Birth, Fate, InstanceId};
use serde::Serialize;
use uuid::Uuid;

use super::record::Record;
use crate::error::{Error, Result};
use crate::fs::conversation_lock;
use crate::fs::locked_file::{self, LockedFile};
use crate::fs::private::identity_of;
use crate::limits;

/// What a record's `owner` field holds:
/// `{"host":"<uuid>","pid":4711,"token":"...","start":"...","boot":"...","ns":"...","dir":"..."}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// Identity of the host process in this data directory.
    pub host: String,
    /// Process id of the host.
    pub pid: u32,
    /// The session object's; distinguishes a session from a later one of the same name.
    #[serde(rename = "token")]
    pub instance: InstanceId,
    /// Tells the host from other processes of its pid.
    #[serde(flatten)]
    pub birth: Option<Birth>,
    /// Tells the data directory from its copies.
    #[serde(rename = "dir", skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}

/// The state of a record's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerState {
    /// The record names no owner: clearctx 3.0.0 wrote it, or a caller.
    None,
    /// This process.
    Ours,
    /// Another process, which lives.
    OtherAlive,
    /// A process that has ended: this is proved.
    Dead,
    /// A process that cannot be seen from here: of an earlier boot, another machine or another container.
    Unknown,
    /// A process that worked in another directory, of which this one is a copy; or the record does not say where.
    Elsewhere,
}

impl OwnerState {
    /// Whether the owner is known to live.
    #[must_use]
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Ours | Self::OtherAlive)
    }

    /// Whether there is an owner, and nothing says that it lives: its sessions read as stopped.
    #[must_use]
    pub fn is_gone(self) -> bool {
        matches!(self, Self::Dead | Self::Unknown | Self::Elsewhere)
    }
}

/// A record's owner, as [`super::Store::owner_of`] finds it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ownership {
    /// Whether the owner lives.
    pub state: OwnerState,
    /// Process id of the owning host.
    pub host_pid: Option<u32>,
    /// Process id of the session's CLI: the record's `pid`.
    pub cli_pid: Option<u32>,
    /// The owner.
    pub instance: Option<InstanceId>,
    /// The record in read view.
    pub record: Arc<Record>,
}

/// The fields of a record's `owner`, each only if it has the right type.
pub(super) struct StoredOwner {
    host: Option<String>,
    pub(super) pid: Option<u32>,
    pub(super) instance: Option<InstanceId>,
    birth: Option<Birth>,
    directory: Option<String>,
}

impl StoredOwner {
    pub(super) fn of(record: &Record) -> Self {
        let owner = record.get::<Record>("owner").unwrap_or_default();
        Self {
            host: owner.get_str("host"),
            pid: owner.get("pid"),
            instance: owner
                .get_str("token")
                .filter(|id| !id.is_empty())
                .map(InstanceId::from),
            birth: record.get("owner"),
            directory: owner.get_str("dir"),
        }
    }
}

/// Answers whether owners live. It asks once per host, so that a list is consistent.
pub(super) struct Liveness<'a> {
    dir: &'a Path,
    known: HashMap<String, OwnerState>,
}

impl<'a> Liveness<'a> {
    pub(super) fn new(dir: &'a Path) -> Self {
        Self {
            dir,
            known: HashMap::new(),
        }
    }

    pub(super) fn of(&mut self, owner: &StoredOwner) -> OwnerState {
        let Some(host) = &owner.host else {
            return OwnerState::None;
        };
        // The name becomes part of a path: nothing but a UUID as this engine writes it may pass.
        if !is_host_id(host) {
            return OwnerState::None;
        }
        if let Some(state) = self.known.get(host) {
            return *state;
        }
        let state = self.look_at(host, owner);
        self.known.insert(host.clone(), state);
        state
    }

    fn look_at(&self, host: &str, owner: &StoredOwner) -> OwnerState {
        if is_this_host(self.dir, host) {
            return OwnerState::Ours;
        }
        let lock = instance_lock(self.dir, host);
        if locked_file::is_locked(&lock) {
            return OwnerState::OtherAlive;
        }
        if owner.directory.is_none() || owner.directory != identity_of(self.dir) {
            return OwnerState::Elsewhere;
        }
        let fate = owner
            .birth
            .as_ref()
            .zip(owner.pid)
            .map(|(birth, pid)| birth.fate(pid));
        match fate {
            Some(Fate::Alive) => OwnerState::OtherAlive,
            Some(Fate::Ended) => OwnerState::Dead,
            Some(Fate::Unknown) | None => OwnerState::Unknown,
        }
    }
}

/// This process's identity in a data directory, with the lock that proves it lives.
struct Host {
    id: String,
    /// Goes at the end of the process at the latest.
    lock: Option<LockedFile>,
}

/// One per data directory: a session may outlive every `Store` handle.
static HOSTS: Mutex<BTreeMap<PathBuf, Host>> = Mutex::new(BTreeMap::new());

fn hosts() -> MutexGuard<'static, BTreeMap<PathBuf, Host>> {
    HOSTS.lock()
}

/// This process's identity in `dir`, created when it is first needed.
///
/// If another program has deleted the instance lock, it is created again, so that the records of this process do not read
/// as lost.
pub(super) fn this_host(dir: &Path) -> Result<String> {
    let mut hosts = hosts();
    let known = hosts.get(dir).map(|host| host.id.clone());
    let fresh = known.is_none();
    let id = known.unwrap_or_else(|| Uuid::new_v4().hyphenated().to_string());
    let path = instance_lock(dir, &id);
    if !path.exists() {
        let locked =
            LockedFile::create(&path).map_err(|error| Error::store(&path, "cannot create", error))?;
        let host = Host {
            id: id.clone(),
            lock: Some(locked),
        };
        hosts.insert(dir.to_owned(), host);
    }
    drop(hosts);
    if fresh {
        remove_unlocked(dir);
        conversation_lock::remove_dead(&dir.join("hosts"));
    }
    Ok(id)
}

/// Gives the instance lock in `dir` back, unless a session of this process has a record there; whether it did. The next
/// session makes the lock again: it is listed as living before it asks for this host's identity.
pub(super) fn leave(dir: &Path, is_used: impl FnOnce() -> bool) -> bool {
    let mut hosts = hosts();
    if is_used() {
        return false;
    }
    if let Some(lock) = hosts.get_mut(dir).and_then(|host| host.lock.take()) {
        // A file that stays is found dead by whoever looks at it next.
        let _ = lock.remove();
    }
    true
}

fn is_this_host(dir: &Path, id: &str) -> bool {
    hosts().get(dir).is_some_and(|host| host.id == id)
}

fn is_host_id(text: &str) -> bool {
    Uuid::parse_str(text).is_ok_and(|id| id.hyphenated().to_string() == text)
}

fn instance_lock(dir: &Path, id: &str) -> PathBuf {
    dir.join("hosts").join(format!("{id}.lock"))
}

/// Removes the files that no host has locked.
fn remove_unlocked(dir: &Path) {
    let Ok(files) = fs::read_dir(dir.join("hosts")) else {
        return;
    };
    for file in files.flatten() {
        let path = file.path();
        let is_host = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .is_some_and(is_host_id);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("lock") if is_host => {
                let own = path
                    .file_stem()
                    .and_then(|stem| stem.to_str())
                    .is_some_and(|id| is_this_host(dir, id));
                if !own {
                    locked_file::remove_if_unlocked(&path);
                }
            }
            // The creator of a younger file may be about to lock it.
            Some("tmp") if is_host && is_older(&file, limits::INSTANCE_LOCK_UNFINISHED_AGE) => {
                locked_file::remove_if_unlocked(&path);
            }
            _ => {}
        }
    }
}

fn is_older(file: &fs::DirEntry, age: std::time::Duration) -> bool {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|time| time.elapsed().is_ok_and(|elapsed| elapsed > age))
}
