//! The read view of a record: a session whose host is gone no longer has the status in its record.

use std::sync::Arc;

use super::age;
use super::owner::{Liveness, StoredOwner};
use super::record::Record;
use crate::clock;

/// The record as callers see it.
///
/// If its owner is gone but its status is that of a live session, it reads as `stopped`, with `lostAt` (unless it has
/// one) from `lastSaved`, else `created`, else now.
pub(super) fn read_view(record: &Arc<Record>, liveness: &mut Liveness<'_>) -> Arc<Record> {
    if !is_lost(record, liveness) {
        return Arc::clone(record);
    }
    let mut view = Record::clone(record);
    view.set("status", "stopped");
    if view.get_raw("lostAt").is_none() {
        view.set("lostAt", clock::timestamp());
        view.copy_field("created", "lostAt");
        view.copy_field("lastSaved", "lostAt");
    }
    Arc::new(view)
}

fn is_lost(record: &Record, liveness: &mut Liveness<'_>) -> bool {
    record.get_raw("owner").is_some() && !record.is_over() && liveness.of(&StoredOwner::of(record)).is_gone()
}

/// Whether a session was alive, or had a message in flight, when its record was last saved.
pub(super) fn had_work(record: &Record) -> bool {
    let status = record.get_str("status");
    let has_pending = record.get_raw("pending").is_some_and(|list| list != "[]");
    !record.is_over() || (has_pending && status.as_deref() == Some("stopped"))
}

/// Whether a living process works with the record.
pub(super) fn is_in_use(record: &Record, liveness: &mut Liveness<'_>) -> bool {
    liveness.of(&StoredOwner::of(record)).is_alive() && !record.is_over()
}

/// When the record was last saved, or else created, in ms since 1970. `None` if the record does not say.
pub(super) fn saved_ms(record: &Record) -> Option<f64> {
    ["lastSaved", "created"]
        .into_iter()
        .find_map(|field| record.get_raw(field).and_then(age::parse_ms))
}

/// The status that keeps a name taken, in the words of clearctx 3.0.0's message. `None` if the name is free.
pub(super) fn blocking_status(record: &Arc<Record>, liveness: &mut Liveness<'_>) -> Option<String> {
    if record.is_over() || is_lost(record, liveness) {
        return None;
    }
    // The text that JavaScript puts into a template for a status that is absent or not a string.
    let words = || record.get_raw("status").unwrap_or("undefined").to_owned();
    Some(record.get_str("status").unwrap_or_else(words))
}
