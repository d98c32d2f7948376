//! Whether this system lets a program see and signal processes at all: a sandbox may not.

/// Checks whether process trees can be ended here.
///
/// # Errors
/// The reason if they cannot, in words.
#[cfg(unix)]
pub fn check() -> Result<(), String> {
    let own = std::process::id();
    if !crate::table::Table::of(std::iter::once(own))
        .seen()
        .contains_key(&own)
    {
        return Err(format!("cannot list processes: {}", crate::table::SOURCE));
    }
    // Signal 0 only checks the permission.
    rustix::process::test_kill_process(rustix::process::getpid())
        .map_err(|error| format!("cannot signal a process: {error}"))
}

/// Succeeds: here the engine's own jobs end process trees.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn check() -> Result<(), String> {
    Ok(())
}
