//! Whether this system lets a program see and signal processes at all: a sandbox may not.

/// Looks whether process trees can be ended here; else the reason why not.
///
/// # Errors
/// What the system refuses, in words.
#[cfg(unix)]
pub fn check() -> Result<(), String> {
    let own = std::process::id();
    if !crate::table::Table::of(std::iter::once(own))
        .seen()
        .contains_key(&own)
    {
        return Err(format!("cannot list processes: {}", crate::table::SOURCE));
    }
    // Signal 0: asks, and does nothing.
    rustix::process::test_kill_process(rustix::process::getpid())
        .map_err(|error| format!("cannot signal a process: {error}"))
}

/// Jobs are the engine's own here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn check() -> Result<(), String> {
    Ok(())
}
