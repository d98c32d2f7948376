//! What a session is doing, in the words callers and records use.

/// Status of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
