//! Bounds of ending process trees, each with its reason.

use std::time::Duration;

/// From the end of a host to SIGINT for its CLIs. An idle one leaves within 20 ms of the end of its input.
pub(crate) const ABANDONED_INTERRUPT: Duration = Duration::from_millis(50);

/// From the end of a host to SIGKILL for all that its CLIs have started. Two seconds are promised; the rest is for
/// finding and ending them on a busy machine.
pub(crate) const ABANDONED_KILL: Duration = Duration::from_millis(1300);

/// Pause between two looks at whether such processes have ended.
pub(crate) const ABANDONED_POLL: Duration = Duration::from_millis(20);

/// Rounds of listing and killing until a process tree counts as ended.
pub(crate) const KILL_ROUNDS: usize = 20;

/// Pause between two rounds: a killed process needs a moment to go.
pub(crate) const KILL_PAUSE: Duration = Duration::from_millis(1);
