//! The file operations whose failure the store must survive.
//!
//! They are a trait, so that tests can pass operations that fail at a chosen point. The store itself only ever uses
//! [`RealFiles`].

use std::fmt::Debug;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;

/// The operations of the store on its files.
pub trait Files: Debug + Send + Sync {
    /// Writes all bytes at the file's end or position.
    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()>;

    /// Truncates a file.
    fn truncate(&self, file: &File, len: u64) -> io::Result<()>;

    /// Makes a file's contents durable against a power loss.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Renames a file over another one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Tries to lock a file against other processes.
    fn try_lock(&self, file: &File) -> Result<(), TryLockError>;
}

/// The operations of the standard library.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFiles;

impl Files for RealFiles {
    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn try_lock(&self, file: &File) -> Result<(), TryLockError> {
        file.try_lock()
    }
}
