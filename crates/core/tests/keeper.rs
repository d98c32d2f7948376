//! The host's end of the keeper, with scripts in its place.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use clearctx_core::process::keeper::{self, Guard};
use clearctx_core::runtime;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// Longest wait before the test counts as failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// More sessions than a socket holds words of.
const MANY: usize = 20_000;

#[test]
fn a_keeper_that_never_reads_holds_nothing_up_and_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("keeper");
    // As the keeper does: the first process starts the second and ends. (A job in the background has /dev/null as its
    // input, unless it is given another one.)
    let script = "#!/bin/sh\n\
        if [ \"$1\" = --detach ]; then exec 3<&0; \"$0\" <&3 & exit 0; fi\n\
        echo ready >&0; exec sleep 5\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();

    let runtime = runtime::handle().unwrap();
    let _context = runtime.enter();
    keeper::set_program(&program);
    let begun = Instant::now();
    let guards: Vec<Guard> = (0..MANY)
        .map(|number| Guard::new(&format!("session {number}").into()))
        .collect();
    let reason = runtime.block_on(async {
        keeper::ready().await;
        tokio::time::timeout(PATIENCE, keeper::failure()).await.unwrap()
    });
    assert!(reason.contains("again and again"), "{reason}");
    assert!(!keeper::watches());
    assert!(begun.elapsed() < PATIENCE);
    drop(guards);
}
