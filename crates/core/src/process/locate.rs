//! Finds the program to run.

use crate::error::{Error, Result};
use crate::options::{CallerEnv, RunOptions, variable_name};
use std::io;
use std::path::{Path, PathBuf};

/// Program if neither an option nor the environment names one.
const DEFAULT_PROGRAM: &str = "claude";

/// Variable of the caller's environment that names the program.
const PROGRAM_VARIABLE: &str = "CLEARCTX_CLAUDE_PATH";

/// The absolute path of the program. A path is taken as it is (relative to the caller's directory); a name is looked up
/// on the PATH of the child's environment, again at each call.
///
/// # Errors
/// `ERR_CLI_NOT_FOUND`.
pub fn locate(run: &RunOptions, caller: &CallerEnv) -> Result<PathBuf> {
    let from_caller = || {
        caller
            .env
            .get(PROGRAM_VARIABLE)
            .filter(|path| !path.is_empty())
            .cloned()
    };
    let program = run
        .claude_path
        .clone()
        .or_else(from_caller)
        .unwrap_or_else(|| DEFAULT_PROGRAM.to_owned());
    let not_found = |reason: String, source: Option<io::Error>| Error::CliNotFound {
        program: program.clone(),
        reason,
        source: source.map(Into::into),
    };
    let own_path = run.env.iter().rfind(|(name, _)| variable_name(name) == "PATH");
    let path = match own_path {
        Some((_, path)) => path.clone(),
        None => caller.env.get("PATH").cloned(),
    };
    let is_path = Path::new(&program).components().count() > 1;
    if is_path {
        let checked = check_file(&Path::new(&caller.cwd).join(&program));
        checked.map_err(|(reason, source)| not_found(reason, source))
    } else {
        which::which_in(&program, path.as_deref(), &caller.cwd).map_err(|_| {
            let path = path.as_deref().unwrap_or("not set");
            not_found(format!("not found on PATH ({path})"), None)
        })
    }
}

/// Why the file cannot be run, and the system's error.
type NotRunnable = (String, Option<io::Error>);

fn check_file(path: &Path) -> std::result::Result<PathBuf, NotRunnable> {
    match std::fs::metadata(path) {
        Err(error) => with_extension(path).ok_or_else(|| (error.to_string(), Some(error))),
        Ok(found) if found.is_dir() => Err(("is a directory".to_owned(), None)),
        Ok(_) => executable(path).ok_or_else(|| ("is not executable".to_owned(), None)),
    }
}

/// Finds a program whose name lacks its extension, as Windows allows (`PATHEXT`).
fn with_extension(path: &Path) -> Option<PathBuf> {
    which::which_global(path).ok().filter(|_| cfg!(windows))
}

#[cfg(unix)]
fn executable(path: &Path) -> Option<PathBuf> {
    which::which_global(path).ok()
}

/// Windows files have no permission to execute, and a script is passed to its interpreter.
#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere not every file can be run")]
fn executable(path: &Path) -> Option<PathBuf> {
    Some(path.to_owned())
}

/// Checks that a working directory exists and is a directory.
///
/// # Errors
/// `ERR_WORKDIR`.
pub fn check_work_dir(path: &str, caller: &CallerEnv) -> Result<PathBuf> {
    let error = |reason: &str, cause: Option<io::Error>| Error::WorkDir {
        path: path.to_owned(),
        reason: reason.to_owned(),
        source: cause.map(Into::into),
    };
    let full = Path::new(&caller.cwd).join(path);
    match std::fs::metadata(&full) {
        Ok(found) if found.is_dir() => Ok(full),
        Ok(_) => Err(error("is not a directory", None)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Err(error("does not exist", Some(cause))),
        Err(cause) => Err(error(&format!("cannot be used: {cause}"), Some(cause))),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn caller(path: &str, cwd: &Path) -> CallerEnv {
        let env = [("PATH".to_owned(), path.to_owned())].into();
        CallerEnv {
            env,
            cwd: cwd.to_string_lossy().into_owned(),
        }
    }

    fn reason(result: Result<PathBuf>) -> String {
        match result.expect_err("nothing is to be found") {
            Error::CliNotFound { reason, .. } => reason,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_name_is_looked_up_on_the_childs_path_and_a_path_is_relative_to_the_host() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let bin = dir.path().join("my bin");
        std::fs::create_dir(&bin).expect("directory");
        let program = bin.join("claude");
        std::fs::write(&program, "#!/bin/sh\n").expect("file");
        let mut run = RunOptions::default();
        assert!(reason(locate(&run, &caller("/nonexistent", dir.path()))).contains("/nonexistent"));
        run.claude_path = Some("./my bin/claude".into());
        assert_eq!(reason(locate(&run, &caller("", dir.path()))), "is not executable");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("mode");
        assert!(locate(&run, &caller("", dir.path())).is_ok());
        run = RunOptions::default();
        run.env
            .insert("PATH".into(), Some(bin.to_string_lossy().into_owned()));
        assert_eq!(
            locate(&run, &caller("/nonexistent", dir.path())).expect("is on the child's PATH"),
            program
        );
        run.claude_path = Some(bin.to_string_lossy().into_owned());
        assert_eq!(reason(locate(&run, &caller("", dir.path()))), "is a directory");
    }

    #[test]
    fn a_working_directory_must_be_one() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let caller = caller("", dir.path());
        assert!(check_work_dir("", &caller).is_ok());
        assert!(
            matches!(check_work_dir("no", &caller), Err(Error::WorkDir { reason, .. }) if reason == "does not exist")
        );
        std::fs::write(dir.path().join("file"), "").expect("file");
        assert!(
            matches!(check_work_dir("file", &caller), Err(Error::WorkDir { reason, .. }) if reason == "is not a directory")
        );
    }
}
