//! The system's own programs, where no call tells what they do.

use crate::spawning;
use std::process::{Child, Command, Stdio};

/// What a program prints, without white space around it. `None` if that is nothing, or the program cannot be run. Language
/// and time zone of the caller change nothing.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs([("LC_ALL", "C"), ("TZ", "UTC0")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let started = {
        let _spawning = spawning();
        command.spawn()
    };
    let output = started.and_then(Child::wait_with_output).ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Some(text).filter(|text| !text.is_empty())
}
