//! What only Windows can show, with real processes: job objects, `PATHEXT`, batch files, names beyond ASCII. Runs on
//! Windows, and in Wine (`scripts/test/windows.sh`).
#![cfg(windows)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use clearctx_core::options::{CallerEnv, RunOptions};
use clearctx_core::process::child::Exit;
use clearctx_core::process::launch::{Launch, Started};
use clearctx_core::process::locate;
use clearctx_core::runtime;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for an event before a test counts as failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Blanks, and letters beyond ASCII, as in the names of users.
fn folder() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("J\u{fc}rgen M\u{fc}ller \u{8a66}\u{9a13}");
    std::fs::create_dir(&home).unwrap();
    (dir, home)
}

/// Our environment as `src/node` hands it on: names in capitals.
fn environment() -> BTreeMap<String, String> {
    std::env::vars()
        .map(|(name, value)| (name.to_uppercase(), value))
        .collect()
}

fn launch(program: &Path, arguments: &[&str], work_dir: &Path) -> Launch {
    Launch {
        program: program.to_owned(),
        arguments: arguments.iter().map(ToString::to_string).collect(),
        env: environment(),
        work_dir: work_dir.to_owned(),
        instance: "instance".into(),
        name: "test".to_owned(),
    }
}

fn shell() -> PathBuf {
    which::which("cmd.exe").unwrap()
}

/// Runs a program to its end: what it wrote, and how it ended.
fn output(launch: &Launch) -> (String, Exit) {
    let runtime = runtime::handle().unwrap();
    let started = {
        let _context = runtime.enter();
        launch.start().unwrap()
    };
    runtime.block_on(async {
        let Started {
            process,
            stdin,
            mut stdout,
            stderr: _,
        } = started;
        drop(stdin);
        let mut bytes = Vec::new();
        let all = async { while stdout.read(|more| bytes.extend_from_slice(more)).await {} };
        tokio::time::timeout(PATIENCE, all)
            .await
            .expect("the output ends");
        (
            String::from_utf8_lossy(&bytes).into_owned(),
            process.exited().await,
        )
    })
}

#[test]
fn a_kill_takes_the_descendants_along() {
    let (_dir, home) = folder();
    // The inner shell waits for a key that never comes, and holds the output open.
    let launch = launch(&shell(), &["/d", "/c", "cmd /d /c pause"], &home);
    let runtime = runtime::handle().unwrap();
    let mut started = {
        let _context = runtime.enter();
        launch.start().unwrap()
    };
    runtime.block_on(async {
        let first = tokio::time::timeout(PATIENCE, started.stdout.read(|_| {}));
        assert!(first.await.expect("the inner shell asks for a key"));
        started.process.kill();
        let end = async { while started.stdout.read(|_| {}).await {} };
        tokio::time::timeout(PATIENCE, end)
            .await
            .expect("nobody holds the output any more");
        assert!(!started.process.exited().await.is_orderly() || started.process.is_reaped());
    });
}

#[test]
fn a_program_runs_in_a_folder_with_any_name() {
    let (_dir, home) = folder();
    std::fs::write(home.join("here"), "").unwrap();
    let (text, exit) = output(&launch(&shell(), &["/d", "/c", "dir /b"], &home));
    assert_eq!((text.trim(), exit.code), ("here", Some(0)));
}

#[test]
fn a_name_is_found_by_its_extension_on_the_childs_path() {
    let (_dir, home) = folder();
    let shim = home.join("claude.cmd");
    std::fs::write(&shim, "@echo found\r\n").unwrap();
    let caller = CallerEnv {
        env: [("PATH".to_owned(), home.to_string_lossy().into_owned())].into(),
        cwd: "C:\\".to_owned(),
    };
    let same =
        |found: PathBuf| found.to_string_lossy().to_lowercase() == shim.to_string_lossy().to_lowercase();
    assert!(same(locate::locate(&RunOptions::default(), &caller).unwrap()));
    // A path, too, may leave it out.
    let run = RunOptions {
        claude_path: Some(home.join("claude").to_string_lossy().into_owned()),
        ..RunOptions::default()
    };
    assert!(same(locate::locate(&run, &caller).unwrap()));
}

#[test]
fn a_shim_is_run_without_a_shell() {
    let (_dir, home) = folder();
    std::fs::copy(shell(), home.join("claude.exe")).unwrap();
    let shim = home.join("claude.cmd");
    std::fs::write(
        &shim,
        "@echo off\r\necho the shell was here\r\n\"%~dp0\\claude.exe\" %*\r\n",
    )
    .unwrap();
    let (text, _) = output(&launch(&shim, &["/d", "/c", "echo direct"], &home));
    assert_eq!(text.trim(), "direct");
}

#[test]
fn no_argument_of_a_batch_file_becomes_a_command() {
    let (_dir, home) = folder();
    let batch = home.join("other.cmd");
    std::fs::write(&batch, "@echo off\r\necho [%1]\r\n").unwrap();
    let (text, _) = output(&launch(&batch, &["a & echo HOLE"], &home));
    assert!(!text.lines().any(|line| line.trim() == "HOLE"), "{text}");
    let (text, _) = output(&launch(&batch, &["\" & echo HOLE & \""], &home));
    assert!(!text.lines().any(|line| line.trim() == "HOLE"), "{text}");
    // What cannot be quoted is refused.
    let runtime = runtime::handle().unwrap();
    let _context = runtime.enter();
    assert!(launch(&batch, &["one\r\necho HOLE"], &home).start().is_err());
}
