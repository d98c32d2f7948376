//! What a session is doing, in the words callers and records use.

use serde::Serialize;

/// Status of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// No process yet.
    Starting,
    /// Waiting for a message.
    Ready,
    /// A turn runs.
    Busy,
    /// Marked by `pause`; the process lives.
    Paused,
    /// Ended on request, or by itself without an error.
    Stopped,
    /// Ended by `kill`.
    Killed,
    /// Could not start, or ended unasked with an error.
    Failed,
}

impl Status {
    /// All statuses, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Starting,
        Self::Ready,
        Self::Busy,
        Self::Paused,
        Self::Stopped,
        Self::Killed,
        Self::Failed,
    ];

    /// The public word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Busy => "busy",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Killed => "killed",
            Self::Failed => "failed",
        }
    }
}
