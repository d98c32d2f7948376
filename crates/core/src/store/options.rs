//! The options that all handles of a data directory share.

use std::sync::Arc;

use super::files::{Files, RealFiles};

/// What stored changes survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Durability {
    /// A kill of the process at any moment. The system decides when it writes to the disk.
    #[default]
    Os,
    /// A power loss, too, as soon as a promise has settled: concurrent turns share one sync. A change by a synchronous
    /// method is synced right after it, or by [`super::Store::flush`].
    Disk,
}

/// How this process uses a data directory. All handles share the stronger durability, the `max_history` given last, and
/// the file operations given first.
#[derive(Debug, Clone)]
pub struct Options {
    /// What stored changes survive.
    pub durability: Durability,
    /// Number of newest interactions that a record keeps when a turn is added; all by default.
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
