//! Bounds of ending process trees, each with its reason.

use std::time::Duration;

/// From the end of a host to SIGINT for its CLIs. An idle CLI exits within 20 ms of the end of its input.
pub(crate) const ABANDONED_INTERRUPT: Duration = Duration::from_millis(50);

/// From the end of a host to SIGKILL for everything that its CLIs have started. Two seconds are promised; the rest is for
/// finding and ending processes on a busy machine.
pub(crate) const ABANDONED_KILL: Duration = Duration::from_millis(1300);

/// Pause between two checks whether such processes have ended.
pub(crate) const ABANDONED_POLL: Duration = Duration::from_millis(20);

/// Longest time of listing and killing. A process that is still left cannot be ended: it is in an uninterruptible wait,
/// for instance.
pub(crate) const KILL_TIME: Duration = Duration::from_secs(1);

/// First pause between two rounds of listing and killing: a killed process needs a moment to end. Each pause is twice the
/// one before.
pub(crate) const KILL_PAUSE: Duration = Duration::from_millis(1);

/// Longest pause between two rounds: listing all processes takes some ms.
pub(crate) const KILL_PAUSE_MOST: Duration = Duration::from_millis(50);
