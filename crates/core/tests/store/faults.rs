//! Writes, renames, syncs and locks that fail at every single point.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clearctx_core::error::Error;
use clearctx_core::store::{Durability, Files, Options, RealFiles, Store};

use crate::fixture::Fixture;
use crate::model::{Deed, Model};

const DEEDS: u64 = 16;

/// Operations that fail from a chosen one on, for as long as is chosen.
#[derive(Debug, Default)]
struct Faulty {
    done: AtomicUsize,
    first: AtomicUsize,
    last: AtomicUsize,
}

impl Faulty {
    fn between(first: usize, last: usize) -> Arc<Self> {
        Arc::new(Self {
            done: AtomicUsize::new(0),
            first: AtomicUsize::new(first),
            last: AtomicUsize::new(last),
        })
    }

    fn heal(&self) {
        self.last.store(0, Ordering::Relaxed);
    }

    fn fails(&self) -> bool {
        let now = self.done.fetch_add(1, Ordering::Relaxed);
        (self.first.load(Ordering::Relaxed)..self.last.load(Ordering::Relaxed)).contains(&now)
    }

    fn check(&self) -> io::Result<()> {
        if self.fails() {
            return Err(io::Error::other("expected by this test"));
        }
        Ok(())
    }
}

impl Files for Faulty {
    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.check() {
            // As a full disk does: some of it is written.
            file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        RealFiles.write(file, bytes)
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        self.check()?;
        RealFiles.truncate(file, len)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.check()?;
        RealFiles.sync(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check()?;
        RealFiles.rename(from, to)
    }

    fn try_lock(&self, file: &File) -> Result<(), TryLockError> {
        self.check().map_err(TryLockError::Error)?;
        RealFiles.try_lock(file)
    }
}

#[test]
fn every_operation_may_fail_once() {
    let all = operations(Durability::Os);
    for at in 0..all {
        run(
            &Faulty::between(at, at + 1),
            Durability::Os,
            &format!("operation {at} of {all}"),
        );
    }
}

#[test]
fn every_operation_may_fail_once_where_all_is_synced() {
    let all = operations(Durability::Disk);
    for at in 0..all {
        run(
            &Faulty::between(at, at + 1),
            Durability::Disk,
            &format!("operation {at} of {all}"),
        );
    }
}

#[test]
fn from_any_operation_on_all_may_fail_for_a_while() {
    let all = operations(Durability::Os);
    for at in 0..all {
        run(
            &Faulty::between(at, at + 9),
            Durability::Os,
            &format!("operations from {at} of {all}"),
        );
    }
}

fn operations(durability: Durability) -> usize {
    let faulty = Faulty::between(0, 0);
    run(&faulty, durability, "no fault");
    faulty.done.load(Ordering::Relaxed)
}

fn run(faulty: &Arc<Faulty>, durability: Durability, what: &str) {
    let dir = tempfile::tempdir().unwrap();
    let files: Arc<dyn Files> = Arc::clone(faulty) as Arc<dyn Files>;
    let options = Options {
        durability,
        files,
        ..Options::default()
    };
    let store = Store::open_with(dir.path(), &options).unwrap();
    let mut models = vec![Model::default()];
    for number in 0..DEEDS {
        let deed = Deed::nth(7, number, 30, "s");
        match deed.act(&store, false) {
            Ok(()) => models.iter_mut().for_each(|model| model.act(&deed)),
            Err(Error::Store { .. }) => {}
            Err(other) => panic!("{what}: {other}"),
        }
        check(&store, &models, what);
    }
    faulty.heal();
    store.apply([]).unwrap();
    check(&store, &models, what);
    let fresh = Fixture::at(dir.path());
    check(&fresh.store, &models, what);
    if let Ok(text) = std::fs::read_to_string(fresh.file()) {
        assert!(models.contains(&Model::of(&text)), "{what}: sessions.json");
    }
    let leftover = fresh.files().into_iter().find(|name| name.contains("tmp"));
    assert_eq!(leftover, None, "{what}");
}

fn check(store: &Store, models: &[Model], what: &str) {
    let stored = Model::of(&store.load_all_json().unwrap());
    assert!(
        models.contains(&stored),
        "{what}: {stored:?} is none of {models:?}"
    );
}
