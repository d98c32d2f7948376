//! A store in a directory of its own, and short ways to write changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use clearctx_core::error::{Error, Result};
use clearctx_core::store::{Applied, Change, Record, Store};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest wait for anything; a test that gets there has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        Self { dir, store }
    }

    /// A copy of a directory as it is now: a store that knows nothing yet.
    pub(crate) fn at(dir: &Path) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for file in fs::read_dir(dir).unwrap().flatten() {
            if file.file_type().unwrap().is_file() {
                fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
            }
        }
        let store = Store::open(copy.path()).unwrap();
        Self { dir: copy, store }
    }

    /// With a file that is old enough to be believed at once.
    pub(crate) fn with_file(text: &str) -> Self {
        let fixture = Self::new();
        fixture.write(text);
        set_old(&fixture.file());
        fixture
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("sessions.json")
    }

    pub(crate) fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    pub(crate) fn stored(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let files = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn record(&self, name: &str) -> Value {
        serde_json::from_str(&self.store.get(name).unwrap().unwrap().to_json()).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.store.get(name).unwrap().is_some()
    }
}

pub(crate) fn set_old(file: &Path) {
    let old = SystemTime::now() - Duration::from_secs(60);
    fs::File::options()
        .append(true)
        .open(file)
        .unwrap()
        .set_modified(old)
        .unwrap();
}

pub(crate) fn record(value: &Value) -> Record {
    Record::from_json(&value.to_string()).unwrap()
}

pub(crate) fn put(name: &str, value: &Value) -> Change {
    Change::Put {
        name: name.into(),
        record: record(value),
        only_if_free: false,
    }
}

pub(crate) fn put_if_free(name: &str, value: &Value) -> Change {
    Change::Put {
        name: name.into(),
        record: record(value),
        only_if_free: true,
    }
}

pub(crate) fn merge(name: &str, value: &Value) -> Change {
    Change::Merge {
        name: name.into(),
        fields: record(value),
        instance: None,
        create: true,
    }
}

pub(crate) fn turn(name: &str, instance: Option<&str>, n: usize) -> Change {
    Change::Turn {
        name: name.into(),
        instance: instance.map(Into::into),
        interaction: RawValue::from_string(json!({ "n": n }).to_string()).unwrap(),
        fields: record(&json!({ "totalTurns": n })),
    }
}

/// Queues a change and gives the receiver of its outcome.
pub(crate) fn later(store: &Store, change: Change) -> mpsc::Receiver<Result<Applied>> {
    let (sender, receiver) = mpsc::channel();
    store.apply_later(change, Box::new(move |outcome| sender.send(outcome).unwrap()));
    receiver
}

pub(crate) fn flush(store: &Store) -> Result<()> {
    let (sender, receiver) = mpsc::channel();
    store.flush(Box::new(move |outcome| sender.send(outcome).unwrap()));
    receiver.recv_timeout(PATIENCE).unwrap()
}

pub(crate) fn holder_pid(outcome: Result<Vec<Applied>>) -> Option<u32> {
    match outcome {
        Err(Error::Store { holder_pid, .. }) => holder_pid,
        other => panic!("{other:?}"),
    }
}
