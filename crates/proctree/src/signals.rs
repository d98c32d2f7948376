//! Names of signals.

use nix::sys::signal::Signal;

/// The name of a signal as in Node: `SIGINT`. A signal without a name is `signal 34`.
#[must_use]
pub fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(
        |_| format!("signal {number}"),
        |signal| signal.as_str().to_owned(),
    )
}
