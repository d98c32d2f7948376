//! clearctx: the engine behind programs that drive many Claude Code CLI processes.
//!
//! # Layout, bottom up
//! - [`error`], [`limits`], [`clock`], [`ids`], [`options`]: errors with stable codes, bounds, time, ids, what a caller
//!   chose
//! - [`warnings`]: what a program should know of that is no error
//! - [`runtime`]: the one I/O thread of the process, its wakes, its deferred work
//! - [`fs`]: locks and private files, and the lock on a conversation
//! - [`protocol`]: the lines that travel over the CLI's pipes
//! - [`process`]: finds, starts, reads and ends processes
//! - [`session`]: the rules of one session, without I/O, and the task that moves its bytes
//! - [`store`]: records of sessions on disk, shared by threads and processes
//! - [`manager`]: names, and what a spawn, a resume or a fork is made of
//! - [`faults`], `fuzzing`: what tests put in, and what they put through
//!
//! # Theory of operation
//! A session's state is a machine without I/O behind one mutex. Calls (from a JavaScript thread) and lines,
//! deadlines and ends (from the I/O thread) change it in short sections; what follows from a change is carried
//! out before the mutex is released, and nothing of it blocks. What a caller is told has been stored before:
//! events wait in the session's outbox until what they report is written.

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
