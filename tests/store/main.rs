//! The store against threads, other processes, dead hosts, foreign writers and full disks.
//!
//! Other processes are this test binary itself, started again with a role in its environment.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod contents;
#[cfg(unix)]
mod disk;
mod file;
mod fixture;
mod helper;
mod owners;
mod processes;
mod queue;

/// Not a test: what a helper process does.
#[test]
fn helper_process() {
    helper::play_role();
}
