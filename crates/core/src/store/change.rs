//! The changes of the store. Callers hand over changes, never whole states.

use std::collections::HashSet;
use std::sync::Arc;

use clearctx_proctree::InstanceId;
use serde_json::value::RawValue;

use super::entries::Entries;
use super::record::Record;

/// Fields of a record that only the engine writes. If a caller sets a record without them, the record keeps them, since
/// it would lose its session otherwise.
pub(super) const ENGINE_FIELDS: [&str; 6] = [
    "owner",
    "pid",
    "cliTotals",
    "pending",
    "newSessionId",
    "lastError",
];

/// One change of the store. `Put`, `Set`, `Merge` and `Turn` stamp the record's `lastSaved`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change {
    /// Replaces a record.
    Put {
        /// Name of the session.
        name: String,
        /// The record.
        record: Record,
        /// Refused with `ERR_SESSION_EXISTS` unless there is no record, or one that reads as `stopped`,
        /// `killed` or `failed`.
        only_if_free: bool,
    },
    /// Replaces a record by one of a caller. Keeps the fields that only the engine writes, unless `record` has them.
    Set {
        /// Name of the session.
        name: String,
        /// The record.
        record: Record,
    },
    /// Sets fields of a record and keeps the others.
    Merge {
        /// Name of the session.
        name: String,
        /// The fields to set.
        fields: Record,
        /// Does nothing unless the record's `owner.token` is this one. An absent record has none.
        instance: Option<InstanceId>,
        /// Whether an absent record is created. If not, the change does nothing for an absent record.
        create: bool,
    },
    /// Sets fields of a record that only the next host needs, so `sessions.json` may follow later.
    Note {
        /// Name of the session.
        name: String,
        /// The fields to set.
        fields: Record,
        /// Does nothing unless the record's `owner.token` is this one.
        instance: InstanceId,
    },
    /// Appends one interaction to a record and sets fields. Does nothing if the record is absent.
    Turn {
        /// Name of the session.
        name: String,
        /// Does nothing unless the record's `owner.token` is this one.
        instance: Option<InstanceId>,
        /// The interaction.
        interaction: Box<RawValue>,
        /// The fields to set.
        fields: Record,
    },
    /// Removes a name, whatever it holds.
    Delete {
        /// Name of the session.
        name: String,
    },
    /// Removes several names.
    DeleteMany(Vec<String>),
    /// Replaces the whole contents.
    ReplaceAll(Entries),
    /// Removes old records, as [`super::Store::cleanup`] describes.
    Prune {
        /// Removes records last saved before this time, in ms since 1970.
        before_ms: f64,
        /// Names that stay.
        keep: HashSet<String>,
    },
}

/// The effect of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// Whether anything changed.
    pub changed: bool,
    /// For `Put`, `Set` and `Delete`: the record as it was stored before.
    pub previous: Option<Arc<Record>>,
    /// For `Delete`, `DeleteMany` and `Prune`: how many names are gone.
    pub removed: usize,
}

impl Change {
    /// Whether the change is kept for a later try if it was queued and could not be written. Such a change records what
    /// happened and cannot be refused later. For all others the caller decides again.
    pub(super) fn outlives_failure(&self) -> bool {
        matches!(self, Self::Turn { .. } | Self::Merge { .. } | Self::Note { .. })
    }

    /// Whether a small `sessions.json` must contain the change before the call returns.
    pub(super) fn is_for_others(&self) -> bool {
        !matches!(self, Self::Note { .. })
    }

    /// The approximate number of bytes that the change occupies.
    pub(super) fn weight(&self) -> usize {
        let data = match self {
            Self::Put { name, record, .. } | Self::Set { name, record } => name.len() + record.weight(),
            Self::Merge { name, fields, .. } | Self::Note { name, fields, .. } => {
                name.len() + fields.weight()
            }
            Self::Turn {
                name,
                interaction,
                fields,
                ..
            } => name.len() + interaction.get().len() + fields.weight(),
            Self::Delete { name } => name.len(),
            Self::DeleteMany(names) => names.iter().map(String::len).sum(),
            Self::ReplaceAll(entries) => entries.weight(),
            Self::Prune { keep, .. } => keep.iter().map(String::len).sum(),
        };
        size_of::<Self>() + data
    }
}
