//! Applies changes to the contents in memory. No I/O but the question whether an owner lives.

use std::collections::HashSet;

use super::change::{Applied, Change};
use super::entries::Entries;
use super::owner::{Liveness, StoredOwner};
use super::record::Record;
use super::view;
use crate::clock;
use crate::error::{Error, Result};

/// Applies the changes of one commit in their order.
pub(super) struct Run<'a> {
    entries: &'a mut Entries,
    liveness: Liveness<'a>,
    now: String,
    changed: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(entries: &'a mut Entries, liveness: Liveness<'a>) -> Self {
        Self {
            entries,
            liveness,
            now: clock::timestamp(),
            changed: false,
        }
    }

    /// Whether the contents differ from what they were.
    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    /// Applies all of these changes, or none if one is refused.
    pub(super) fn all_or_none(&mut self, changes: &[Change]) -> Result<Vec<Applied>> {
        // A single change is refused before it has changed anything.
        let before = (changes.len() > 1).then(|| (self.entries.clone(), self.changed));
        let applied = changes.iter().map(|change| self.one(change)).collect();
        if let (Result::Err(_), Some((entries, changed))) = (&applied, before) {
            *self.entries = entries;
            self.changed = changed;
        }
        applied
    }

    /// Applies one change. A change that is refused has changed nothing.
    pub(super) fn one(&mut self, change: &Change) -> Result<Applied> {
        let applied = match change {
            Change::Put {
                name,
                record,
                only_if_free,
            } => self.put(name, record, *only_if_free)?,
            Change::Merge {
                name,
                fields,
                token,
                create,
            } => self.merge(name, fields, token.as_deref(), *create),
            Change::Turn {
                name,
                token,
                interaction,
                fields,
            } => self.update(name, token.as_deref(), |record| {
                record.append_interaction(interaction);
                record.merge(fields);
            }),
            Change::Delete { name } => self.delete(name),
            Change::DeleteMany(names) => removed(
                names
                    .iter()
                    .filter(|name| self.entries.remove(name).is_some())
                    .count(),
            ),
            Change::ReplaceAll(entries) => {
                self.entries.clone_from(entries);
                Applied {
                    changed: true,
                    ..Applied::default()
                }
            }
            Change::Prune { before_ms, keep } => self.prune(*before_ms, keep),
        };
        self.changed |= applied.changed;
        Ok(applied)
    }

    fn put(&mut self, name: &str, record: &Record, only_if_free: bool) -> Result<Applied> {
        if only_if_free
            && let Some(stored) = self.entries.record(name)
            && let Some(status) = view::blocking_status(stored, &mut self.liveness)
        {
            return Err(Error::SessionStored {
                name: name.to_owned(),
                status,
            });
        }
        let mut record = record.clone();
        record.set("lastSaved", &self.now);
        Ok(Applied {
            changed: true,
            previous: self.entries.insert(name, record),
            removed: 0,
        })
    }

    fn merge(&mut self, name: &str, fields: &Record, token: Option<&str>, create: bool) -> Applied {
        if create && token.is_none() && self.entries.record(name).is_none() {
            self.entries.insert(name, Record::new());
        }
        self.update(name, token, |record| record.merge(fields))
    }

    /// Changes a record that is there and, with a token, still belongs to that session object.
    fn update(&mut self, name: &str, token: Option<&str>, change: impl FnOnce(&mut Record)) -> Applied {
        let Some(record) = self.entries.record(name) else {
            return Applied::default();
        };
        if token.is_some() && StoredOwner::of(record).token.as_deref() != token {
            return Applied::default();
        }
        let Some(record) = self.entries.record_mut(name) else {
            return Applied::default();
        };
        change(record);
        record.set("lastSaved", &self.now);
        Applied {
            changed: true,
            ..Applied::default()
        }
    }

    fn delete(&mut self, name: &str) -> Applied {
        match self.entries.remove(name) {
            Some(previous) => Applied {
                changed: true,
                previous,
                removed: 1,
            },
            None => Applied::default(),
        }
    }

    fn prune(&mut self, before_ms: f64, keep: &HashSet<String>) -> Applied {
        let liveness = &mut self.liveness;
        removed(self.entries.retain(|name, record| {
            name.is_some_and(|name| keep.contains(name))
                // Not `>=`: an age that cannot be compared (NaN) must keep the record, not remove it.
                || !view::saved_ms(record).is_some_and(|saved| saved <= before_ms)
                || view::is_in_use(record, liveness)
        }))
    }
}

fn removed(count: usize) -> Applied {
    Applied {
        changed: count > 0,
        previous: None,
        removed: count,
    }
}
