//! Decides the effect of changes, writes it as lines of the journal, and applies it in memory. The only I/O is to ask
//! whether an owner lives.

use std::collections::HashSet;
use std::sync::Arc;

use clearctx_proctree::InstanceId;

use super::change::{Applied, Change, ENGINE_FIELDS};
use super::contents::{Contents, Entry, Undo};
use super::line::Step;
use super::object::{Key, write_string};
use super::owner::{Liveness, StoredOwner};
use super::record::Record;
use super::source::{Place, Source};
use super::view;
use crate::clock;
use crate::error::{Error, Result};

/// Applies the changes of one commit in their order.
pub(super) struct Run<'a> {
    contents: &'a mut Contents,
    liveness: Liveness<'a>,
    now: String,
    /// `maxHistory`.
    keep: Option<usize>,
    source: Arc<Source>,
    /// Where in the journal the lines will be.
    at: u64,
    seq: u64,
    lines: String,
    undo: Vec<Undo>,
    /// Whether the first step of the present line is still to be written.
    first: bool,
}

/// The output of a commit.
pub(super) struct Written {
    pub(super) lines: String,
    pub(super) seq: u64,
    pub(super) undo: Vec<Undo>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        contents: &'a mut Contents,
        liveness: Liveness<'a>,
        keep: Option<usize>,
        (source, at, seq): (Arc<Source>, u64, u64),
    ) -> Self {
        Self {
            contents,
            liveness,
            now: clock::timestamp(),
            keep,
            source,
            at,
            seq,
            lines: String::new(),
            undo: Vec::new(),
            first: true,
        }
    }

    pub(super) fn finish(self) -> Written {
        Written {
            lines: self.lines,
            seq: self.seq,
            undo: self.undo,
        }
    }

    /// Applies one change, on a line of its own. A change that is refused has changed nothing.
    pub(super) fn one(&mut self, change: &Change) -> Result<Applied> {
        let mut applied = self.all_or_none(std::slice::from_ref(change))?;
        Ok(applied.pop().unwrap_or_default())
    }

    /// Applies all of these changes on one line, or none if one is refused.
    pub(super) fn all_or_none(&mut self, changes: &[Change]) -> Result<Vec<Applied>> {
        let (length, steps) = (self.lines.len(), self.undo.len());
        self.lines.push_str("{\"seq\":");
        self.lines.push_str(&(self.seq + 1).to_string());
        self.lines.push_str(",\"changes\":[");
        self.first = true;
        let applied: Result<Vec<_>> = changes.iter().map(|change| self.decide(change)).collect();
        if applied.is_err() || self.first {
            self.lines.truncate(length);
            for undo in self.undo.drain(steps..).rev() {
                self.contents.undo(undo);
            }
        } else {
            self.lines.push_str("]}\n");
            self.seq += 1;
        }
        applied
    }

    fn decide(&mut self, change: &Change) -> Result<Applied> {
        match change {
            Change::Put {
                name,
                record,
                only_if_free,
            } => self.put(name, record, *only_if_free),
            Change::Set { name, record } => Ok(self.set(name, record)),
            Change::Merge {
                name,
                fields,
                instance,
                create,
            } => Ok(self.merge(name, fields, instance.as_ref(), *create)),
            Change::Note {
                name,
                fields,
                instance,
            } => Ok(self.merge(name, fields, Some(instance), false)),
            Change::Turn {
                name,
                instance,
                interaction,
                fields,
            } => Ok(self.turn(name, instance.as_ref(), interaction.get(), fields)),
            Change::Delete { name } => Ok(self.delete(name)),
            Change::DeleteMany(names) => {
                Ok(self.delete_all(names.iter().map(|name| Key::from(&**name)).collect()))
            }
            Change::ReplaceAll(entries) => {
                let mut all = String::from("\"replace\":");
                entries.write_json(&mut all);
                self.step(&all);
                Ok(changed())
            }
            Change::Prune { before_ms, keep } => Ok(self.prune(*before_ms, keep)),
        }
    }

    /// Writes a step, given its members, and applies it.
    fn step(&mut self, members: &str) {
        if !std::mem::take(&mut self.first) {
            self.lines.push(',');
        }
        let start = self.lines.len();
        self.lines.push('{');
        self.lines.push_str(members);
        self.lines.push('}');
        // A journal line must be one line; in a JSON value line breaks are only white space.
        if members.contains(['\n', '\r']) {
            let text = self.lines[start..].replace(['\n', '\r'], " ");
            self.lines.replace_range(start.., &text);
        }
        let text = &self.lines[start..];
        let place = Place {
            source: &self.source,
            text,
            at: self.at + start as u64,
        };
        if let Some(step) = Step::parse(text) {
            step.apply(self.contents, &place, &mut self.undo);
        }
    }

    fn put(&mut self, name: &str, record: &Record, only_if_free: bool) -> Result<Applied> {
        let previous = self.contents.get(name).map(|stored| Arc::clone(&stored.head));
        if only_if_free
            && let Some(stored) = &previous
            && let Some(status) = view::blocking_status(stored, &mut self.liveness)
        {
            return Err(Error::SessionStored {
                name: name.to_owned(),
                status,
            });
        }
        Ok(self.replace(name, record.clone(), previous))
    }

    fn set(&mut self, name: &str, record: &Record) -> Applied {
        let previous = self.contents.get(name).map(|stored| Arc::clone(&stored.head));
        let mut record = record.clone();
        for field in ENGINE_FIELDS {
            if record.get_raw(field).is_none()
                && let Some(kept) = previous.as_ref().and_then(|previous| previous.get_raw(field))
            {
                record.set_text(field, kept);
            }
        }
        self.replace(name, record, previous)
    }

    fn replace(&mut self, name: &str, mut record: Record, previous: Option<Arc<Record>>) -> Applied {
        record.set("lastSaved", &self.now);
        let mut members = member("put", name);
        members.push_str(",\"record\":");
        record.write_json(&mut members);
        self.step(&members);
        Applied {
            changed: true,
            previous,
            removed: 0,
        }
    }

    fn merge(&mut self, name: &str, fields: &Record, instance: Option<&InstanceId>, create: bool) -> Applied {
        let create = create && instance.is_none();
        if !create && !self.belongs(name, instance) {
            return Applied::default();
        }
        let mut members = member("merge", name);
        self.push_fields(fields, &mut members);
        self.step(&members);
        changed()
    }

    fn turn(
        &mut self,
        name: &str,
        instance: Option<&InstanceId>,
        interaction: &str,
        fields: &Record,
    ) -> Applied {
        if !self.belongs(name, instance) {
            return Applied::default();
        }
        let mut members = member("turn", name);
        members.push_str(",\"interaction\":");
        members.push_str(interaction);
        self.push_fields(fields, &mut members);
        if let Some(keep) = self.keep {
            members.push_str(",\"keep\":");
            members.push_str(&keep.to_string());
        }
        self.step(&members);
        changed()
    }

    fn push_fields(&self, fields: &Record, members: &mut String) {
        let mut fields = fields.clone();
        fields.set("lastSaved", &self.now);
        members.push_str(",\"fields\":");
        fields.write_json(members);
    }

    /// Whether there is such a record and, with an instance, it still belongs to that session object.
    fn belongs(&self, name: &str, instance: Option<&InstanceId>) -> bool {
        self.contents.get(name).is_some_and(|stored| {
            instance.is_none() || StoredOwner::of(&stored.head).instance.as_ref() == instance
        })
    }

    fn delete(&mut self, name: &str) -> Applied {
        let previous = self.contents.get(name).map(|stored| Arc::clone(&stored.head));
        let applied = self.delete_all(vec![Key::from(name)]);
        Applied { previous, ..applied }
    }

    fn delete_all(&mut self, mut keys: Vec<Key>) -> Applied {
        let mut seen = HashSet::new();
        keys.retain(|key| self.contents.contains(key) && seen.insert(key.clone()));
        if keys.is_empty() {
            return Applied::default();
        }
        let mut members = String::from("\"delete\":[");
        for (index, key) in keys.iter().enumerate() {
            members.push_str(if index > 0 { "," } else { "" });
            key.write_json(&mut members);
        }
        members.push_str("],\"ended\":[");
        let ended: Vec<_> = keys.iter().filter_map(|key| self.live_session(key)).collect();
        for (index, instance) in ended.iter().enumerate() {
            members.push_str(if index > 0 { "," } else { "" });
            write_string(instance.as_str(), &mut members);
        }
        members.push(']');
        self.step(&members);
        Applied {
            removed: keys.len(),
            ..changed()
        }
    }

    /// The session that may write the record anew, unless the journal says that it was deleted.
    fn live_session(&mut self, key: &Key) -> Option<InstanceId> {
        let Some(Entry::Record(stored)) = self.contents.entry(key) else {
            return None;
        };
        let owner = StoredOwner::of(&stored.head);
        let lives = !stored.head.is_over() && !self.liveness.of(&owner).is_gone();
        owner.instance.filter(|_| lives)
    }

    fn prune(&mut self, before_ms: f64, keep: &HashSet<String>) -> Applied {
        let liveness = &mut self.liveness;
        let is_kept = |key: &Key, record: &Arc<Record>, liveness: &mut Liveness<'_>| {
            matches!(key, Key::Text(name) if keep.contains(&**name))
                // Not `>=`: an age that cannot be compared (NaN) must keep the record, not remove it.
                || !view::saved_ms(record).is_some_and(|saved| saved <= before_ms)
                || view::is_in_use(record, liveness)
        };
        let old = self.contents.records();
        let old = old.filter(|(key, stored)| !is_kept(key, &stored.head, liveness));
        let keys = old.map(|(key, _)| key.clone()).collect();
        self.delete_all(keys)
    }
}

fn member(step: &str, name: &str) -> String {
    let mut text = format!("\"{step}\":");
    write_string(name, &mut text);
    text
}

fn changed() -> Applied {
    Applied {
        changed: true,
        ..Applied::default()
    }
}
