//! Problems that a user should know about although no call has failed.

use parking_lot::Mutex;
use std::mem;
use std::path::Path;

use crate::error::Error;
use crate::limits;

/// A warning for `process.emitWarning`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// `CLEARCTX_STORE_CORRUPT`, `CLEARCTX_STORE_CONFLICT`, `CLEARCTX_STORE_DROPPED`, `CLEARCTX_STORE_BEHIND` or `CLEARCTX_STORE_BIG`.
    pub code: &'static str,
    /// What happened, and to which file.
    pub message: String,
}

impl Warning {
    pub(super) fn corrupt(file: &Path, aside: &Path) -> Self {
        Self {
            code: "CLEARCTX_STORE_CORRUPT",
            message: format!(
                "{} is not a JSON object. It was moved to {}",
                file.display(),
                aside.display()
            ),
        }
    }

    pub(super) fn blank(file: &Path) -> Self {
        Self {
            code: "CLEARCTX_STORE_CORRUPT",
            message: format!(
                "{} was empty. It was written anew, nothing is lost",
                file.display()
            ),
        }
    }

    pub(super) fn conflict(file: &Path, count: usize, aside: &Path) -> Self {
        Self {
            code: "CLEARCTX_STORE_CONFLICT",
            message: format!(
                "Another program has changed {count} records in {} that have changed here, too. Its versions are in {}",
                file.display(),
                aside.display()
            ),
        }
    }

    pub(super) fn bad_lines(journal: &Path, aside: &Path) -> Self {
        Self {
            code: "CLEARCTX_STORE_CORRUPT",
            message: format!(
                "{} contains unreadable lines. They were skipped and copied to {}",
                journal.display(),
                aside.display()
            ),
        }
    }

    pub(super) fn behind(file: &Path, error: &Error) -> Self {
        Self {
            code: "CLEARCTX_STORE_BEHIND",
            message: format!(
                "{} cannot be written. Nothing is lost: the journal has the changes. {error}",
                file.display()
            ),
        }
    }

    pub(super) fn big(file: &Path, size: u64) -> Self {
        Self {
            code: "CLEARCTX_STORE_BIG",
            message: format!(
                "{} has {} MiB. From 512 MiB on, JSON.parse of Node cannot read it. cleanup(), delete() and \
                 maxHistory make it smaller",
                file.display(),
                size / (1024 * 1024)
            ),
        }
    }

    pub(super) fn dropped(dir: &Path, count: usize) -> Self {
        Self {
            code: "CLEARCTX_STORE_DROPPED",
            message: format!(
                "Store {}: {count} changes could not be saved and are lost",
                dir.display()
            ),
        }
    }
}

/// Warnings that have not been taken yet, at most [`limits::STORE_WARNINGS`].
#[derive(Default)]
pub(super) struct Warnings {
    list: Mutex<Vec<Warning>>,
}

impl Warnings {
    pub(super) fn push(&self, warning: Warning) {
        let mut list = self.list.lock();
        if list.len() < limits::STORE_WARNINGS {
            list.push(warning);
        }
    }

    pub(super) fn take(&self) -> Vec<Warning> {
        mem::take(&mut self.list.lock())
    }
}
