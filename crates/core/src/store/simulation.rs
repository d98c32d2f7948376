//! Lives of a data directory, drawn from a seed: hosts that commit, export and take snapshots, are killed at any system call
//! and start again, and foreign programs that read `sessions.json`, change it and write it back in steps, or restore a
//! backup. After each step the store must say what the model says.
//!
//! `CLEARCTX_STORE_HISTORIES=300000` is the long form; `CLEARCTX_SEED` is the first seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::change::Change;
use super::files::{Files, RealFiles};
use super::fuzzing::in_memory;
use super::options::Options;
use super::record::Record;
use super::shared::Shared;
use crate::error::Error;

const NAMES: u64 = 5;
const STEPS: usize = 40;

/// Operations that work until the process is killed.
#[derive(Debug)]
struct Mortal(AtomicI64);

impl Mortal {
    fn live(&self) -> io::Result<()> {
        if self.0.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return Err(io::Error::other("the process was killed"));
        }
        Ok(())
    }

    fn is_dead(&self) -> bool {
        self.0.load(Ordering::Relaxed) < 0
    }
}

impl Files for Mortal {
    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.live() {
            // Some of it may have come out, once.
            if self.0.load(Ordering::Relaxed) == -1 {
                file.write_all(&bytes[..bytes.len() / 2])?;
            }
            return Err(error);
        }
        RealFiles.write(file, bytes)
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        self.live()?;
        RealFiles.truncate(file, len)
    }

    fn sync(&self, _file: &File) -> io::Result<()> {
        self.live()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.live()?;
        RealFiles.rename(from, to)
    }

    fn try_lock(&self, file: &File) -> Result<(), TryLockError> {
        RealFiles.try_lock(file)
    }
}

struct Host {
    shared: Shared,
    files: Arc<Mortal>,
}

impl Host {
    fn start(dir: &Path, calls: i64) -> Self {
        let files = Arc::new(Mortal(AtomicI64::new(calls)));
        let options = Options {
            files: Arc::clone(&files) as Arc<dyn Files>,
            ..Options::default()
        };
        Self {
            shared: Shared::new(dir.to_owned(), &options),
            files,
        }
    }

    fn records(&self) -> Records {
        let cache = self.shared.current().expect("can be read");
        let one = |(key, stored): (&super::object::Key, &super::contents::Stored)| {
            let mut name = String::new();
            key.write_json(&mut name);
            let record = stored.whole(&stored.head).expect("its files are there").to_json();
            let name = serde_json::from_str(&name).expect("a name");
            (
                name,
                without_times(serde_json::from_str(&record).expect("a record")),
            )
        };
        cache.contents.records().map(one).collect()
    }
}

/// Records by name, without the times.
type Records = BTreeMap<String, Value>;

fn without_times(mut record: Value) -> Value {
    if let Value::Object(fields) = &mut record {
        fields.remove("lastSaved");
    }
    record
}

/// A foreign program between its steps.
struct Foreign {
    /// What it writes, and how much of it is written.
    text: Vec<u8>,
    file: Option<File>,
    done: usize,
    /// What it wants: fields of names, or their end.
    wants: BTreeMap<String, Option<Value>>,
    /// What the file said when it was read, and the names that were changed here since.
    read: Records,
    changed: BTreeSet<String>,
}

struct World {
    rng: fastrand::Rng,
    dir: PathBuf,
    hosts: Vec<Host>,
    foreign: Option<Foreign>,
    /// What must be there; several if a killed host leaves it open.
    models: Vec<Records>,
    next: u64,
    log: Vec<String>,
}

impl World {
    fn new(seed: u64, dir: &Path) -> Self {
        for entry in fs::read_dir(dir).expect("a directory").flatten() {
            let path = entry.path();
            let removed = if path.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            };
            removed.expect("can be removed");
        }
        Self {
            rng: fastrand::Rng::with_seed(seed),
            dir: dir.to_owned(),
            hosts: Vec::new(),
            foreign: None,
            models: vec![Records::new()],
            next: 0,
            log: Vec::new(),
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("sessions.json")
    }

    fn step(&mut self) {
        match self.rng.u32(..100) {
            _ if self.hosts.is_empty() => self.start(),
            0..=2 if self.hosts.len() < 3 => self.start(),
            3..=5 => self.kill(),
            6..=60 => self.commit(),
            61..=70 => self.export(),
            71..=74 => self.snapshot(),
            75..=78 => self.restore(),
            _ => self.meddle(),
        }
        self.bury();
    }

    fn start(&mut self) {
        // Some are killed soon, at a system call that the seed chooses.
        let calls = if self.rng.u32(..3) == 0 {
            self.rng.i64(0..60)
        } else {
            i64::MAX
        };
        self.log.push(format!("start, {calls} calls"));
        self.hosts.push(Host::start(&self.dir, calls));
    }

    fn kill(&mut self) {
        let at = self.rng.usize(..self.hosts.len());
        self.log.push(format!("kill {at}"));
        self.hosts.remove(at);
    }

    /// Removes the hosts that were killed at a call.
    fn bury(&mut self) {
        self.hosts.retain(|host| !host.files.is_dead());
    }

    fn host(&mut self) -> usize {
        self.rng.usize(..self.hosts.len())
    }

    fn commit(&mut self) {
        let at = self.host();
        self.next += 1;
        let (n, name) = (self.next, format!("s{}", self.rng.u64(..NAMES)));
        let deed = self.rng.u32(..10);
        let change = match deed {
            0..=3 => Change::Put {
                name: name.clone(),
                record: record(&json!({ "n": n, "interactions": [] })),
                only_if_free: false,
            },
            4..=7 => Change::Turn {
                name: name.clone(),
                instance: None,
                interaction: serde_json::value::to_raw_value(&n).expect("a number"),
                fields: Record::new(),
            },
            _ => Change::Delete { name: name.clone() },
        };
        // What others have written is taken in before.
        self.settle_foreign(at);
        self.log.push(format!("{at}: {change:?}"));
        if let Some(foreign) = &mut self.foreign {
            foreign.changed.insert(name.clone());
        }
        let outcome = self.hosts[at].shared.commit_now(&[change]);
        let apply = |model: &Records| {
            let mut model = model.clone();
            match deed {
                0..=3 => drop(model.insert(name.clone(), json!({ "n": n, "interactions": [] }))),
                4..=7 => {
                    let fields = model.get_mut(&name).and_then(Value::as_object_mut);
                    let list = fields.map(|fields| fields.entry("interactions").or_insert_with(|| json!([])));
                    let list = list.and_then(Value::as_array_mut);
                    if let Some(list) = list {
                        list.push(json!(n));
                    }
                }
                _ => drop(model.remove(&name)),
            }
            model
        };
        let after: Vec<_> = self.models.iter().map(apply).collect();
        match outcome {
            Ok(_) => self.models = after,
            Err(Error::Store { .. }) => self.models.extend(after),
            Err(other) => panic!("{other}"),
        }
        self.check();
    }

    fn export(&mut self) {
        let at = self.host();
        self.settle_foreign(at);
        self.log.push(format!("{at}: export"));
        let most = Duration::ZERO;
        let exported = self.hosts[at].shared.export_all(u64::MAX, most);
        if exported.is_ok() && self.foreign.as_ref().is_none_or(|foreign| foreign.file.is_none()) {
            let text = fs::read_to_string(self.file()).unwrap_or_else(|_| "{}".to_owned());
            let records = read(&text).expect("our own file is whole");
            assert!(
                self.models.contains(&records),
                "exported {records:?}\n{}",
                self.story()
            );
        }
        self.check();
    }

    fn snapshot(&mut self) {
        let at = self.host();
        self.settle_foreign(at);
        self.log.push(format!("{at}: snapshot"));
        let shared = &self.hosts[at].shared;
        let lock = shared.lock(std::time::Instant::now()).expect("nobody holds it");
        if let Ok(mut cache) = shared.current_locked(&lock)
            && !cache.has_merge()
            && cache.journal.is_some()
            && shared.compact_locked(&lock, &mut cache).is_err()
        {
            cache.invalidate();
        }
        drop(lock);
        self.check();
    }

    /// A backup of `sessions.json` comes back, when no foreign program is at work and the hosts are new.
    fn restore(&mut self) {
        if self.foreign.is_some() {
            return;
        }
        let Ok(now) = fs::read_to_string(self.file()) else {
            return;
        };
        let backup = self.dir.join("backup");
        match fs::read_to_string(&backup) {
            // An empty file is no backup.
            Ok(old) if self.rng.bool() && read(&old).is_some_and(|records| !records.is_empty()) => {
                // In order: everything is exported, the hosts end, the file comes back.
                self.hosts.clear();
                let host = Host::start(&self.dir, i64::MAX);
                let exported = host.shared.export_all(u64::MAX, Duration::ZERO);
                exported.expect("nothing is in the way");
                let known = host.records();
                self.models.retain(|model| *model == known);
                drop(host);
                self.log.push(format!("restore {old:?}"));
                fs::write(self.dir.join("new"), &old).expect("can be written");
                fs::rename(self.dir.join("new"), self.file()).expect("can be renamed");
                self.models = vec![read(&old).expect("was read before")];
                // Until somebody has brought it into the journal it is only what the file says.
                let host = Host::start(&self.dir, i64::MAX);
                let taken_in = host.shared.export_all(u64::MAX, Duration::ZERO);
                taken_in.expect("nothing is in the way");
                self.hosts.push(host);
                self.check();
            }
            _ => {
                self.log.push("backup".to_owned());
                fs::write(backup, now).expect("can be written");
            }
        }
    }

    /// One step of the foreign program: it reads, or truncates, or writes a part, or closes.
    fn meddle(&mut self) {
        let Some(mut foreign) = self.foreign.take() else {
            return self.begin_to_meddle();
        };
        let file = match foreign.file.take() {
            None => {
                self.log.push("foreign: truncates".to_owned());
                File::create(self.file()).expect("can be opened")
            }
            Some(file) => file,
        };
        if foreign.done < foreign.text.len() && self.rng.bool() {
            let end = self.rng.usize(foreign.done..=foreign.text.len());
            self.log
                .push(format!("foreign: writes to {end} of {}", foreign.text.len()));
            (&file)
                .write_all(&foreign.text[foreign.done..end])
                .expect("can be written");
            foreign.done = end;
        }
        if foreign.done < foreign.text.len() {
            foreign.file = Some(file);
            self.foreign = Some(foreign);
            if !self.hosts.is_empty() {
                self.check();
            }
            return;
        }
        self.log.push("foreign: closes".to_owned());
        drop(file);
        self.foreign_is_done(&foreign);
        self.check();
    }

    fn begin_to_meddle(&mut self) {
        let text = fs::read_to_string(self.file()).unwrap_or_default();
        let (Some(read), Ok(mut records)) = (read(&text), serde_json::from_str::<Records>(&text)) else {
            return;
        };
        let mut wants = BTreeMap::new();
        for _ in 0..=self.rng.u32(..2) {
            self.next += 1;
            let name = format!("s{}", self.rng.u64(..NAMES + 2));
            if self.rng.u32(..3) == 0 && records.remove(&name).is_some() {
                wants.insert(name, None);
            } else {
                let record = records.entry(name.clone()).or_insert_with(|| json!({}));
                record["theirs"] = json!(self.next);
                wants.insert(name, Some(without_times(record.clone())));
            }
        }
        // A file that is just an earlier export counts as a backup, for a host that starts.
        self.next += 1;
        let name = format!("s{NAMES}");
        let record = records.entry(name.clone()).or_insert_with(|| json!({}));
        record["theirs"] = json!(self.next);
        wants.insert(name, Some(without_times(record.clone())));
        let mut text = serde_json::to_vec_pretty(&records).expect("is JSON");
        if self.rng.u32(..10) == 0 {
            // It writes nonsense, and wants nothing.
            text.truncate(text.len() - 1);
            wants.clear();
        }
        self.log
            .push(format!("foreign: has read {read:?}, wants {wants:?}"));
        self.foreign = Some(Foreign {
            text,
            file: None,
            done: 0,
            wants,
            read,
            changed: BTreeSet::new(),
        });
    }

    /// The rules, as docs/store.md has them: a wish counts if the record is still as the program has read it.
    fn foreign_is_done(&mut self, foreign: &Foreign) {
        let whole = serde_json::from_slice::<Value>(&foreign.text).is_ok();
        if !whole {
            return;
        }
        // Somebody brings it into the journal; should that host die of it, another one does.
        if !self.hosts.is_empty() {
            let at = self.host();
            self.log.push(format!("{at}: takes in"));
            drop(self.hosts[at].shared.export_all(u64::MAX, Duration::ZERO));
            self.bury();
        }
        self.log.push("a host that lives takes in".to_owned());
        let at = self
            .hosts
            .iter()
            .position(|host| host.files.0.load(Ordering::Relaxed) > 1000);
        let at = at.unwrap_or_else(|| {
            self.hosts.push(Host::start(&self.dir, i64::MAX));
            self.hosts.len() - 1
        });
        let taken_in = self.hosts[at].shared.export_all(u64::MAX, Duration::ZERO);
        taken_in.expect("nothing is in the way");
        self.expect(at, foreign);
    }

    fn expect(&mut self, at: usize, foreign: &Foreign) {
        let found = self.hosts[at].records();
        let agrees = |model: &Records| {
            let names: BTreeSet<_> = model
                .keys()
                .chain(found.keys())
                .chain(foreign.wants.keys())
                .collect();
            names.into_iter().all(|name| {
                let (ours, now, before) = (model.get(name), found.get(name), foreign.read.get(name));
                let wish = foreign.wants.get(name).map(Option::as_ref);
                match wish {
                    None => now == ours,
                    // What was changed and changed back may be taken for changed.
                    Some(wish) if ours == before => {
                        let may_stay = wish.is_none() || foreign.changed.contains(name);
                        now == wish || may_stay && now == ours
                    }
                    // Both have changed it. Ours stays where the file shows that its writer has read an older one.
                    Some(wish) => now == ours || wish.is_some() && now == wish,
                }
            })
        };
        assert!(
            self.models.iter().any(agrees),
            "after the foreign program: {found:?} is not among {:?}\n{}",
            self.models,
            self.story()
        );
        self.models = vec![found];
    }

    /// Lets a host see what a foreign program has left in the file.
    fn settle_foreign(&mut self, at: usize) {
        let found = self.hosts[at].records();
        assert!(
            self.models.contains(&found),
            "{found:?} is not among {:?}\n{}",
            self.models,
            self.story()
        );
    }

    fn check(&mut self) {
        for at in 0..self.hosts.len() {
            if self.hosts[at].files.is_dead() {
                continue;
            }
            let found = self.hosts[at].records();
            assert!(
                self.models.contains(&found),
                "host {at}: {found:?} is not among {:?}\n{}",
                self.models,
                self.story()
            );
            self.models = vec![found];
        }
    }

    fn story(&self) -> String {
        let journal = fs::read(self.dir.join("sessions.journal")).unwrap_or_default();
        format!("{}\n{}", self.log.join("\n"), String::from_utf8_lossy(&journal))
    }
}

fn record(value: &Value) -> Record {
    Record::from_json(&value.to_string()).expect("an object")
}

fn read(text: &str) -> Option<Records> {
    let all: Map<String, Value> = serde_json::from_str(text).ok()?;
    Some(
        all.into_iter()
            .map(|(name, record)| (name, without_times(record)))
            .collect(),
    )
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn no_history_loses_what_was_acknowledged() {
    let dir = in_memory().expect("a directory");
    let count = number("CLEARCTX_STORE_HISTORIES").unwrap_or(1000);
    let first = number("CLEARCTX_SEED").unwrap_or(0);
    for seed in first..first + count {
        let played = std::panic::catch_unwind(|| {
            let mut world = World::new(seed, dir.path());
            for _ in 0..STEPS {
                world.step();
            }
        });
        assert!(played.is_ok(), "history {seed}");
    }
}
