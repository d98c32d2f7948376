//! Process trees: which processes belong to a session, and how they are ended.
//!
//! The CLI starts each shell tool in a session of its own, so neither a process group nor the tree alone reaches all of
//! them once a parent is dead. A session's processes are found in two ways, by parent links and by the session's
//! [`InstanceId`] in their environment, and are known from then on by pid and start time.
//!
//! - [`InstanceId`]: names one session object on this machine.
//! - [`Descendants`]: the processes of one or more sessions; `table`: the processes of the system.
//! - [`Birth`]: tells whether a process that is known by its pid lives or has ended.
//! - [`check()`]: whether the system allows it.
//! - [`terminate`]: ends sessions that their host no longer watches.
//!
//! Used by the engine and by its watchdog. Everything here blocks for a few ms, so threads that must not block do not call
//! it.

mod birth;
mod check;
#[cfg(unix)]
mod descendants;
mod instance_id;
#[cfg(unix)]
mod limits;
#[cfg(unix)]
mod signals;
mod spawning;
#[cfg(unix)]
mod table;
pub mod terminate;
#[cfg(all(unix, not(target_os = "linux")))]
mod tools;

pub use birth::{Birth, Fate};
pub use check::check;
#[cfg(unix)]
pub use descendants::{Descendants, Round, Struck, is_over};
pub use instance_id::{INSTANCE_VARIABLE, InstanceId};
#[cfg(unix)]
pub use signals::signal_name;
pub use spawning::{Spawning, spawning};
