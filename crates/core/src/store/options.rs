//! What the handles of a data directory choose together.

use std::sync::Arc;

use super::files::{Files, RealFiles};

/// What stored changes survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Durability {
    /// A kill of the process at any moment. The system writes to the disk when it likes.
    #[default]
    Os,
    /// A power loss, too, as soon as a promise has settled: concurrent turns share one sync. What a synchronous
    /// method has changed is synced right after it, or by [`super::Store::flush`].
    Disk,
}

/// How a data directory is used by this process. Counts for all its handles: the stronger durability, the
/// `max_history` that was given last, the file operations that were given first.
#[derive(Debug, Clone)]
pub struct Options {
    /// What stored changes survive.
    pub durability: Durability,
    /// How many of its newest interactions a record keeps when a turn is added; all by default.
    pub max_history: Option<usize>,
    /// The file operations; for tests.
    pub files: Arc<dyn Files>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            max_history: None,
            files: Arc::new(RealFiles),
        }
    }
}
