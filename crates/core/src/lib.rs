//! clearctx: the engine behind programs that drive many Claude Code CLI processes.
//!
//! # Layout, bottom up
//! - [`error`], [`limits`], [`clock`], [`ids`], [`options`]: errors with stable codes, bounds, time, ids, a caller's options
//! - [`warnings`]: problems that a program should know of although no call has failed
//! - [`runtime`]: the one I/O thread of the process, its wakes, its deferred work
//! - [`fs`]: locks and private files, and the lock on a conversation
//! - [`protocol`]: the lines that travel over the CLI's pipes
//! - [`process`]: finds, starts, reads and ends processes
//! - [`session`]: one session: its rules, without I/O, and the task that moves the bytes of its process
//! - [`store`]: records of sessions on disk, shared by threads and processes
//! - [`manager`]: many sessions by name: spawn, resume, recover, fork, and their records
//! - [`faults`], `fuzzing`: defects on demand and readers of foreign bytes, for tests
//!
//! # Theory of operation
//! A session's state is a machine without I/O behind one mutex. Calls (from a JavaScript thread) and lines,
//! deadlines and process ends (from the I/O thread) change it in short sections. The effects of a change are carried
//! out before the mutex is released, and none of them blocks. An event waits in the session's outbox until the change
//! that it reports is stored.

pub mod api;
pub(crate) mod clock;
pub mod error;
pub(crate) mod faults;
pub(crate) mod fs;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod ids;
pub mod limits;
pub mod manager;
pub mod options;
pub mod process;
pub mod protocol;
pub mod runtime;
pub mod session;
pub mod store;
mod sys;
pub mod warnings;
