//! `clearctx-keeper`: see `clearctx::process::watch`.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(unix)]
    return clearctx::process::watch::main();
    // There the system does it: each process is in a job that ends with its host.
    #[cfg(not(unix))]
    ExitCode::FAILURE
}
