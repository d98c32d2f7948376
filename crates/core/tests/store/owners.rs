//! Records of hosts that live and of hosts that have died.

use std::collections::HashSet;
use std::fs;

use clearctx_core::store::{OwnerState, Store};
use serde_json::{Value, json};

use crate::fixture::{Fixture, put, put_if_free};
use crate::helper::Helper;

#[test]
fn a_record_of_a_living_host_is_taken_as_it_is() {
    let fixture = Fixture::new();
    let mut helper = Helper::start("owner", fixture.dir.path());
    helper.hear();
    assert_eq!(fixture.record("s")["status"], "busy");
    let ownership = fixture.store.owner_of("s").unwrap().unwrap();
    assert_eq!(
        (ownership.state, ownership.host_pid),
        (OwnerState::OtherAlive, Some(helper.pid()))
    );
    assert_eq!(
        (
            ownership.cli_pid,
            ownership
                .instance
                .as_ref()
                .map(clearctx_proctree::InstanceId::as_str)
        ),
        (Some(4711), Some("token-1"))
    );
    assert!(fixture.store.apply([put_if_free("s", &json!({}))]).is_err());
}

#[test]
fn a_record_of_a_killed_host_reads_as_stopped_and_its_name_is_free() {
    let fixture = Fixture::new();
    let mut helper = Helper::start("owner", fixture.dir.path());
    helper.hear();
    helper.child.kill().unwrap();
    helper.child.wait().unwrap();
    let stored = fixture.stored()["s"].clone();
    let read = fixture.record("s");
    assert_eq!(
        (&read["status"], &read["lostAt"]),
        (&json!("stopped"), &stored["lastSaved"])
    );
    assert_eq!(stored["status"], "busy");
    let listed: Value = serde_json::from_str(&fixture.store.list_later().unwrap().json).unwrap();
    assert_eq!(listed, json!([read]));
    assert_eq!(
        fixture.store.owner_of("s").unwrap().unwrap().state,
        OwnerState::Dead
    );
    fixture
        .store
        .apply([put_if_free("s", &json!({ "status": "starting" }))])
        .unwrap();
}

/// Only Linux and macOS tell processes of others apart.
#[cfg(unix)]
#[test]
fn a_living_host_without_its_lock_file_lives() {
    let fixture = Fixture::new();
    let mut helper = Helper::start("owner", fixture.dir.path());
    helper.hear();
    fs::remove_dir_all(fixture.dir.path().join("hosts")).unwrap();
    let ownership = fixture.store.owner_of("s").unwrap().unwrap();
    assert_eq!(ownership.state, OwnerState::OtherAlive);
    assert_eq!(fixture.record("s")["status"], "busy");
    assert!(fixture.store.lost_instances().unwrap().is_empty());
    helper.child.kill().unwrap();
    helper.child.wait().unwrap();
    assert_eq!(fixture.store.lost_instances().unwrap().len(), 1);
}

#[test]
fn a_host_is_dead_only_in_the_directory_that_it_worked_in() {
    let fixture = Fixture::new();
    let mut helper = Helper::start("owner", fixture.dir.path());
    helper.hear();
    let copy = Fixture::new();
    let copied = |name: &str| fs::copy(fixture.dir.path().join(name), copy.dir.path().join(name));
    copied("sessions.json").unwrap();
    let state = |store: &Store| store.owner_of("s").unwrap().unwrap().state;
    for _ in 0..2 {
        assert_eq!(state(&copy.store), OwnerState::Elsewhere);
        assert_eq!(copy.record("s")["status"], "stopped");
        assert!(copy.store.lost_instances().unwrap().is_empty());
        // The second time it has ended.
        let _ = helper.child.kill();
        helper.child.wait().unwrap();
    }
    assert_eq!(state(&fixture.store), OwnerState::Dead);
}

#[test]
fn what_dead_hosts_leave_behind_is_removed_by_the_next_host() {
    let fixture = Fixture::new();
    let mut helper = Helper::start("owner", fixture.dir.path());
    let dead = helper.hear();
    drop(helper);
    let mut helper = Helper::start("owner", fixture.dir.path());
    let alive = helper.hear();
    let own = fixture.store.owner(&"x".into()).unwrap().host;
    let files = fs::read_dir(fixture.dir.path().join("hosts")).unwrap();
    let names: HashSet<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.contains(&format!("{dead}.lock")));
    assert_eq!(
        names,
        HashSet::from([format!("{alive}.lock"), format!("{own}.lock")])
    );
    helper.join();
}

#[test]
fn a_host_file_somebody_deleted_is_made_again() {
    let fixture = Fixture::new();
    let owner = fixture.store.owner(&"a".into()).unwrap();
    fs::remove_dir_all(fixture.dir.path().join("hosts")).unwrap();
    assert_eq!(fixture.store.owner(&"a".into()).unwrap(), owner);
    assert!(
        fixture
            .dir
            .path()
            .join("hosts")
            .join(format!("{}.lock", owner.host))
            .exists()
    );
}

#[test]
fn an_owner_that_is_no_owner_counts_as_none() {
    let fixture = Fixture::new();
    for owner in [
        json!(5),
        json!({}),
        json!({ "host": 5 }),
        json!({ "host": "../../etc/passwd" }),
    ] {
        fixture
            .store
            .apply([put("s", &json!({ "status": "busy", "owner": owner }))])
            .unwrap();
        assert_eq!(fixture.record("s")["status"], "busy");
        assert_eq!(
            fixture.store.owner_of("s").unwrap().unwrap().state,
            OwnerState::None
        );
    }
}

#[test]
fn our_own_record_stays_ours_without_a_handle() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let owner = store.owner(&"t".into()).unwrap();
    store
        .apply([put("s", &json!({ "status": "busy", "owner": owner }))])
        .unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.owner_of("s").unwrap().unwrap().state, OwnerState::Ours);
    assert_eq!(store.owner(&"t".into()).unwrap(), owner);
}
