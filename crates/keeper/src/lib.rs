//! The keeper: a watchdog process beside each program that runs sessions. It waits for the end of that program and then
//! ends the sessions that it left behind.
//!
//! - [`Word`]: the messages of the program to its keeper; shared with the engine, which is the other end.
//! - `server`: the keeper itself, started by the binary `clearctx-keeper`.
//!
//! Windows has no keeper: there the system ends the jobs of a program that has ended.

#[cfg(unix)]
mod server;
mod word;

#[cfg(unix)]
pub use server::main;
pub use word::Word;
