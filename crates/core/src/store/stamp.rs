//! The stamp of a file: shows whether it is another one or was written since.

use std::fs::Metadata;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Shows whether a file is another one or was written since. Times are only compared for equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    identity: (u64, u64),
    size: u64,
    modified: u64,
    changed: u64,
}

impl Stamp {
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let changed = metadata
            .ctime()
            .wrapping_mul(1_000_000_000)
            .wrapping_add(metadata.ctime_nsec());
        Ok(Self {
            identity: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: nanos(metadata.modified()?),
            // Unlike `modified` no program can set it back.
            changed: changed.cast_unsigned(),
        })
    }

    #[cfg(not(unix))]
    pub(super) fn of(metadata: &Metadata) -> io::Result<Self> {
        let modified = metadata.modified()?;
        Ok(Self {
            identity: (0, 0),
            size: metadata.len(),
            modified: nanos(modified),
            changed: nanos(metadata.created().unwrap_or(modified)),
        })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether the contents are the same: a rename changes none.
    pub(super) fn is_same_text(&self, other: &Self) -> bool {
        (self.identity, self.size, self.modified) == (other.identity, other.size, other.modified)
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
