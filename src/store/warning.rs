//! What a user should know though no call has failed.

use std::mem;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::limits;

/// A warning for `process.emitWarning`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// `CLEARCTX_STORE_CORRUPT` or `CLEARCTX_STORE_DROPPED`.
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

/// Warnings nobody has taken yet, at most [`limits::STORE_WARNINGS`].
#[derive(Default)]
pub(super) struct Warnings {
    list: Mutex<Vec<Warning>>,
}

impl Warnings {
    pub(super) fn push(&self, warning: Warning) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() < limits::STORE_WARNINGS {
            list.push(warning);
        }
    }

    pub(super) fn take(&self) -> Vec<Warning> {
        mem::take(&mut self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
