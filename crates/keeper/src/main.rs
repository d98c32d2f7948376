//! `clearctx-keeper`: see the library of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(unix)]
    return clearctx_keeper::main();
    #[cfg(not(unix))]
    ExitCode::FAILURE
}
