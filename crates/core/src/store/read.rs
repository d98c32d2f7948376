//! Reading for callers. The files are read after the contents were looked up, so no lock is held while reading.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use clearctx_proctree::InstanceId;

use super::contents::{Entry, INTERACTIONS, Stored};
use super::entries;
use super::object::Key;
use super::owner::{OwnerState, Ownership, StoredOwner};
use super::record::Record;
use super::source::History;
use super::{Store, view};
use crate::error::{Error, Result};

/// How often a read is repeated because another program wrote `sessions.json` in place at the same time.
const TRIES: usize = 5;

/// Records without their interactions, and those to be read later.
#[derive(Debug)]
pub struct Heads {
    /// JSON of the records: an object, or an array of all. `interactions` is `[]` where [`Heads::histories`] has
    /// them.
    pub json: String,
    /// The interactions of each record, in the same order.
    pub histories: Histories,
}

/// The interactions of records as they were when they were listed. Keeps the files that contain them open.
#[derive(Debug)]
pub struct Histories {
    store: Store,
    list: Vec<History>,
}

impl Histories {
    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the record at `index` has interactions that its JSON does not show.
    #[must_use]
    pub fn has(&self, index: usize) -> bool {
        self.list.get(index).is_some_and(|history| !history.is_empty())
    }

    /// JSON array of the interactions of the record at `index`.
    pub fn json(&self, index: usize) -> Result<String> {
        let Some(history) = self.list.get(index) else {
            return Ok("[]".to_owned());
        };
        history.text().map_err(|error| self.store.cannot_read(error))
    }
}

/// Which part of a list is wanted; everything by default.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// How many records are skipped.
    pub offset: usize,
    /// How many records follow at the most.
    pub limit: Option<usize>,
    /// The only fields that are wanted, beside `name`.
    pub fields: Option<Vec<String>>,
}

impl Listing {
    fn has_history(&self) -> bool {
        let is_history = |field: &String| field == INTERACTIONS;
        self.fields
            .as_ref()
            .is_none_or(|fields| fields.iter().any(is_history))
    }

    fn view(&self, record: Arc<Record>) -> Arc<Record> {
        let Some(fields) = &self.fields else { return record };
        let mut view = Record::new();
        for field in std::iter::once("name").chain(fields.iter().map(String::as_str)) {
            if let Some(json) = record.get_raw(field) {
                view.set_text(field, json);
            }
        }
        Arc::new(view)
    }
}

impl Store {
    /// The record of a name, in read view. `None` if there is none.
    pub fn get(&self, name: &str) -> Result<Option<Arc<Record>>> {
        self.try_read(|| {
            let Some((head, stored)) = self.look_up(name)? else {
                return Ok(Ok(None));
            };
            Ok(stored.whole(&head).map(Some))
        })
    }

    /// The record of a name, in read view, with `interactions` empty: reads no history.
    pub fn head(&self, name: &str) -> Result<Option<Arc<Record>>> {
        Ok(self.look_up(name)?.map(|(head, _)| head))
    }

    /// JSON array of the interactions of a name. `None` if there is no record, or if it has no interactions.
    pub fn interactions_json(&self, name: &str) -> Result<Option<String>> {
        self.try_read(|| {
            let Some((head, stored)) = self.look_up(name)? else {
                return Ok(Ok(None));
            };
            if stored.history.is_empty() {
                return Ok(Ok(head.get_raw(INTERACTIONS).map(str::to_owned)));
            }
            Ok(stored.history.text().map(Some))
        })
    }

    /// The record of a name, in read view, its interactions to be read later.
    pub fn get_later(&self, name: &str) -> Result<Option<Heads>> {
        let Some((head, stored)) = self.look_up(name)? else {
            return Ok(None);
        };
        let history = self.shared.cache().lend(&stored.history);
        Ok(Some(Heads {
            json: head.to_json(),
            histories: self.histories(vec![history]),
        }))
    }

    /// All records, in read view and in the file's order, their interactions to be read later.
    ///
    /// A record without a `name` field gets its name as first field here (and only here), since a list has no keys. A `name`
    /// that differs from the record's key is left alone.
    pub fn list_later(&self) -> Result<Heads> {
        self.list_some(&Listing::default())
    }

    /// A part of the list.
    pub fn list_some(&self, part: &Listing) -> Result<Heads> {
        let listed = self.look_at_some(part)?;
        let mut histories = Vec::new();
        if part.has_history() {
            let mut cache = self.shared.cache();
            histories.extend(listed.iter().map(|(_, _, stored)| cache.lend(&stored.history)));
        }
        let listed = listed.into_iter().map(|(name, head, _)| (name, part.view(head)));
        Ok(Heads {
            json: list_text(listed),
            histories: self.histories(histories),
        })
    }

    /// A JSON object of everything in the file: records in read view, other values as they are.
    pub fn load_all_json(&self) -> Result<String> {
        self.try_read(|| {
            let contents = self.shared.current()?.contents.clone();
            let mut liveness = self.liveness();
            let mut out = String::from("{");
            for (index, (key, entry)) in contents.entries().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                key.write_json(&mut out);
                out.push(':');
                match entry {
                    Entry::Other(json) => out.push_str(json),
                    Entry::Record(stored) => {
                        match stored.whole(&view::read_view(&stored.head, &mut liveness)) {
                            Ok(record) => record.write_json(&mut out),
                            Err(error) => return Ok(Err(error)),
                        }
                    }
                }
            }
            out.push('}');
            Ok(Ok(out))
        })
    }

    /// The owner of the record of a name, and whether that host lives. `None` if there is no record. The record is
    /// [`Store::head`].
    pub fn owner_of(&self, name: &str) -> Result<Option<Ownership>> {
        let stored = {
            let cache = self.shared.current()?;
            let Some(stored) = cache.contents.get(name) else {
                return Ok(None);
            };
            Arc::clone(&stored.head)
        };
        let mut liveness = self.liveness();
        let owner = StoredOwner::of(&stored);
        Ok(Some(Ownership {
            state: liveness.of(&owner),
            host_pid: owner.pid,
            cli_pid: stored.get("pid"),
            instance: owner.instance,
            record: view::read_view(&stored, &mut liveness),
        }))
    }

    /// Whether the record of a session was deleted while the session lived: by a program that uses clearctx, not by one that
    /// writes `sessions.json`.
    #[must_use]
    pub fn was_deleted(&self, instance: &InstanceId) -> bool {
        self.shared
            .current()
            .is_ok_and(|cache| cache.contents.ended.contains(instance.as_str()))
    }

    /// Sessions whose host has ended before them, which is proved: their processes may live on.
    pub fn lost_instances(&self) -> Result<BTreeSet<InstanceId>> {
        let cache = self.shared.current()?;
        let mut liveness = self.liveness();
        let lost = cache.contents.records().filter_map(|(_, stored)| {
            stored.head.get::<u32>("pid")?;
            let owner = StoredOwner::of(&stored.head);
            let instance = owner.instance.clone()?;
            (liveness.of(&owner) == OwnerState::Dead).then_some(instance)
        });
        Ok(lost.collect())
    }

    /// The records of hosts that are gone whose sessions had not ended: by their status, or, if the host ended in order, by a message
    /// without an answer.
    pub fn left_by_others(&self) -> Result<Vec<(String, Ownership)>> {
        let cache = self.shared.current()?;
        let named = cache.contents.records().filter_map(|(key, stored)| match key {
            Key::Text(name) => Some((name.to_string(), Arc::clone(&stored.head))),
            Key::Odd(_) => None,
        });
        let named: Vec<_> = named.collect();
        drop(cache);
        let mut liveness = self.liveness();
        let mut ownership = |record: &Arc<Record>| {
            let owner = StoredOwner::of(record);
            let state = liveness.of(&owner);
            (state.is_gone() && view::had_work(record)).then(|| Ownership {
                state,
                host_pid: owner.pid,
                cli_pid: record.get("pid"),
                instance: owner.instance,
                record: Arc::clone(record),
            })
        };
        Ok(named
            .into_iter()
            .filter_map(|(name, record)| Some((name, ownership(&record)?)))
            .collect())
    }

    fn look_up(&self, name: &str) -> Result<Option<(Arc<Record>, Stored)>> {
        let stored = self.shared.current()?.contents.get(name).cloned();
        let mut liveness = self.liveness();
        Ok(stored.map(|stored| (view::read_view(&stored.head, &mut liveness), stored)))
    }

    /// Name as JSON, read view and all of each record of a part.
    fn look_at_some(&self, part: &Listing) -> Result<Vec<(String, Arc<Record>, Stored)>> {
        let cache = self.shared.current()?;
        let some = cache.contents.records().skip(part.offset);
        let all = some.take(part.limit.unwrap_or(usize::MAX)).map(|(key, stored)| {
            let mut name = String::new();
            key.write_json(&mut name);
            (name, stored.clone())
        });
        let all: Vec<_> = all.collect();
        drop(cache);
        let mut liveness = self.liveness();
        let view =
            |(name, stored): (String, Stored)| (name, view::read_view(&stored.head, &mut liveness), stored);
        Ok(all.into_iter().map(view).collect())
    }

    fn histories(&self, list: Vec<History>) -> Histories {
        Histories {
            store: self.clone(),
            list,
        }
    }

    /// Reads until no other program writes in place meanwhile.
    fn try_read<T>(&self, read: impl Fn() -> Result<io::Result<T>>) -> Result<T> {
        for _ in 1..TRIES {
            if let Ok(value) = read()? {
                return Ok(value);
            }
            self.shared.cache().invalidate();
        }
        read()?.map_err(|error| self.cannot_read(error))
    }

    fn cannot_read(&self, error: io::Error) -> Error {
        Error::store(self.sessions_file(), "cannot read", error)
    }
}

fn list_text(records: impl Iterator<Item = (String, Arc<Record>)>) -> String {
    let mut out = String::from("[");
    for (index, (name, record)) in records.enumerate() {
        if index > 0 {
            out.push(',');
        }
        match record.get_raw("name") {
            Some(_) => record.write_json(&mut out),
            None => entries::write_named(&name, &record, &mut out),
        }
    }
    out.push(']');
    out
}
