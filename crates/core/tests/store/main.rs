//! The store against threads, other processes, dead hosts, foreign writers and full disks.
//!
//! Other processes are this test binary itself, started again with a role in its environment.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod contents;
mod crash;
mod crowd;
#[cfg(unix)]
mod disk;
mod faults;
mod file;
mod fixture;
#[cfg(target_os = "linux")]
mod foreign;
mod helper;
mod journal;
mod model;
mod owners;
mod processes;
mod queue;
mod upgrade;

/// Not a test: what a helper process does.
#[test]
fn helper_process() {
    helper::play_role();
}
