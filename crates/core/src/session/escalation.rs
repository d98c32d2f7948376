//! The steps by which a process is ended: end of input, SIGINT, SIGKILL of the whole tree.
//!
//! End of input comes first, since the CLI then finishes writing. SIGINT comes next, since the CLI then ends its tools.
//! The CLI may ignore both.

use std::time::{Duration, Instant};

/// The state of the escalation of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Escalation {
    next: Step,
    at: Instant,
    kill_timeout: Duration,
}

/// A step of the escalation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// SIGINT to the CLI's process.
    Interrupt,
    /// SIGKILL to the process and all its descendants.
    Kill,
}

impl Escalation {
    /// The escalation after end of input was given at `now`.
    #[must_use]
    pub(crate) fn start(now: Instant, stop_timeout: Duration, kill_timeout: Duration) -> Self {
        Self {
            next: Step::Interrupt,
            at: now + stop_timeout,
            kill_timeout,
        }
    }

    /// When the next step is due.
    #[must_use]
    pub(crate) fn deadline(&self) -> Instant {
        self.at
    }

    /// Takes the step that is due, if any. A kill is repeated as long as the process exists.
    pub(crate) fn advance(&mut self, now: Instant) -> Option<Step> {
        if now < self.at {
            return None;
        }
        let step = self.next;
        self.next = Step::Kill;
        self.at = now + self.kill_timeout;
        Some(step)
    }
}
