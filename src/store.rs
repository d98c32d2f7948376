//! The store, for JavaScript.

use crate::environment::{EnvironmentQueue, NativeEnvironment};
use crate::error::{read, throw, unreadable};
use clearctx_core::api::{Notice, to_raw};
use clearctx_core::error::Error;
use clearctx_core::limits;
use clearctx_core::runtime;
use clearctx_core::store::{Change, Durability, Entries, Heads, Histories, Listing, Options, Record, Store};
use napi::Result;
use napi_derive::napi;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// Records of one data directory.
#[napi]
pub struct NativeStore {
    pub(crate) store: Store,
    queue: Arc<EnvironmentQueue>,
}

#[napi]
impl NativeStore {
    /// Opens a data directory; creates it if it does not exist. The options apply to this whole process.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        environment: &NativeEnvironment,
        data_dir: String,
        durable: bool,
        max_history: Option<u32>,
    ) -> Result<Self> {
        let options = Options {
            durability: if durable { Durability::Disk } else { Durability::Os },
            max_history: max_history.and_then(|most| usize::try_from(most).ok()),
            ..Options::default()
        };
        let store = Store::open_with(Path::new(&data_dir), &options).map_err(|error| throw(&error))?;
        environment.queue().add_store(&store);
        Ok(Self {
            store,
            queue: environment.queue(),
        })
    }

    /// JSON of all records by name.
    #[napi(catch_unwind)]
    pub fn load_all(&self) -> Result<String> {
        done(self.store.load_all_json())
    }

    /// Replaces everything by this JSON object.
    #[napi(catch_unwind)]
    pub fn save_all(&self, json: String) -> Result<()> {
        let entries = Entries::from_json(&json).map_err(|error| unreadable("data", &error))?;
        done(self.store.apply([Change::ReplaceAll(entries)])).map(|_| ())
    }

    /// A record, whose interactions are read later; or null.
    #[napi(catch_unwind)]
    pub fn get(&self, name: String) -> Result<Option<NativeRecords>> {
        Ok(done(self.store.get_later(&name))?.map(NativeRecords::from))
    }

    /// Sets a record to this JSON object.
    #[napi(catch_unwind)]
    pub fn set(&self, name: String, json: String) -> Result<()> {
        let record: Record = read(&json, "record")?;
        done(self.store.apply([Change::Set { name, record }])).map(|_| ())
    }

    /// Removes a record; returns whether there was one.
    #[napi(catch_unwind)]
    pub fn delete(&self, name: String) -> Result<bool> {
        let applied = done(self.store.apply([Change::Delete { name }]))?;
        Ok(applied.iter().any(|applied| applied.changed))
    }

    /// Records from `offset` on, `limit` at the most, with these fields or all, whose interactions are read later.
    #[napi(catch_unwind)]
    pub fn list(
        &self,
        offset: Option<f64>,
        limit: Option<f64>,
        fields: Option<Vec<String>>,
    ) -> Result<NativeRecords> {
        let part = Listing {
            offset: offset.map_or(0, to_count),
            limit: limit.map(to_count),
            fields,
        };
        done(self.store.list_some(&part)).map(NativeRecords::from)
    }

    /// Brings `sessions.json` up to date, unless it is so big that this would delay the caller.
    #[napi(catch_unwind)]
    pub fn export_now(&self) -> Result<()> {
        done(self.store.export_now(limits::STORE_MEDIUM_BYTES))
    }

    /// Removes old records, but never those of `live`; returns how many.
    #[napi(catch_unwind)]
    pub fn cleanup(&self, days: f64, live: Vec<String>) -> Result<u32> {
        let keep: HashSet<String> = live.into_iter().collect();
        let removed = done(self.store.cleanup(days, &keep))?;
        Ok(u32::try_from(removed).unwrap_or(u32::MAX))
    }

    /// Writes everything that waits. Returns the number of the outcome.
    #[napi(catch_unwind)]
    pub fn flush(&self) -> f64 {
        let number = runtime::next_number();
        let queue = Arc::clone(&self.queue);
        self.store.flush(Box::new(move |flushed| {
            queue.push(Notice::outcome(number, flushed.map(|()| to_raw(&()))));
        }));
        crate::convert::to_number(number)
    }

    /// Codes and messages, in turn, of warnings for `process.emitWarning`.
    #[napi(catch_unwind)]
    pub fn take_warnings(&self) -> Vec<String> {
        let warnings = self.store.take_warnings().into_iter();
        warnings
            .flat_map(|warning| [warning.code.to_owned(), warning.message])
            .collect()
    }
}

/// A number that JavaScript has checked.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, and no list is that long"
)]
fn to_count(number: f64) -> usize {
    number as usize
}

fn done<T>(result: std::result::Result<T, Error>) -> Result<T> {
    result.map_err(|error| throw(&error))
}

/// Records as they were when they were read. Interactions are read when they are needed.
#[napi]
pub struct NativeRecords {
    json: String,
    histories: Histories,
}

impl From<Heads> for NativeRecords {
    fn from(Heads { json, histories }: Heads) -> Self {
        Self { json, histories }
    }
}

#[napi]
impl NativeRecords {
    /// JSON of the record, or array of all records; `interactions` is `[]` for those that are read later.
    #[napi(getter, catch_unwind)]
    pub fn json(&self) -> String {
        self.json.clone()
    }

    /// The indices of the records whose interactions are read later.
    #[napi(getter, catch_unwind)]
    pub fn with_history(&self) -> Vec<u32> {
        let all = 0..u32::try_from(self.histories.len()).unwrap_or(u32::MAX);
        all.filter(|index| self.histories.has(*index as usize)).collect()
    }

    /// JSON array of a record's interactions.
    #[napi(catch_unwind)]
    pub fn interactions(&self, index: u32) -> Result<String> {
        self.histories.json(index as usize).map_err(|error| throw(&error))
    }
}
