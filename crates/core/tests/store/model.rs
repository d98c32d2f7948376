//! A reference of what the store shall hold, and a reproducible stream of changes for both.

use std::collections::BTreeMap;

use clearctx_core::store::{Change, Store};
use fastrand::Rng;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::fixture::{flush, later, merge, put, record};

/// One thing a host does.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Put(String, u64),
    Merge(String, u64),
    Turn(String, u64, usize),
    Delete(String),
    Flush,
    Exit,
}

impl Deed {
    /// Deed number `number` of a stream. Texts are about `length` bytes long.
    pub(crate) fn nth(seed: u64, number: u64, length: usize, owner: &str) -> Self {
        let mut rng = Rng::with_seed(seed ^ number.wrapping_mul(0xff51_afd7_ed55_8ccd));
        let name = format!("{owner}{}", rng.u64(..6));
        match rng.u64(..100) {
            0..=59 => Self::Turn(name, number, length),
            60..=76 => Self::Put(name, number),
            77..=86 => Self::Merge(name, number),
            87..=92 => Self::Delete(name),
            93..=96 => Self::Flush,
            _ => Self::Exit,
        }
    }

    fn change(&self) -> Option<Change> {
        Some(match self {
            Self::Put(name, n) => put(name, &json!({ "name": name, "n": n, "interactions": [] })),
            Self::Merge(name, n) => merge(name, &json!({ "merged": n })),
            Self::Turn(name, n, length) => Change::Turn {
                name: name.clone(),
                instance: None,
                interaction: RawValue::from_string(interaction(*n, *length).to_string()).unwrap(),
                fields: record(&json!({ "totalTurns": n })),
            },
            Self::Delete(name) => Change::Delete { name: name.clone() },
            Self::Flush | Self::Exit => return None,
        })
    }

    /// Does it, in one way or another; returns when it is acknowledged.
    pub(crate) fn act(&self, store: &Store, later_too: bool) -> clearctx_core::error::Result<()> {
        match (self, self.change()) {
            (Self::Flush, _) => flush(store),
            (Self::Turn(_, n, _), Some(change)) if later_too && n % 2 == 0 => later(store, change)
                .recv_timeout(crate::fixture::PATIENCE)
                .unwrap()
                .map(|_| ()),
            (_, Some(change)) => store.apply([change]).map(|_| ()),
            _ => store.apply([]).map(|_| ()),
        }
    }
}

fn interaction(n: u64, length: usize) -> Value {
    json!({ "n": n, "text": "x".repeat(length) })
}

/// What the store shall hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Model(pub(crate) BTreeMap<String, Value>);

impl Model {
    pub(crate) fn act(&mut self, deed: &Deed) {
        match deed {
            Deed::Put(name, n) => {
                let record = json!({ "name": name, "n": n, "interactions": [] });
                self.0.insert(name.clone(), record);
            }
            Deed::Merge(name, n) => {
                self.0.entry(name.clone()).or_insert_with(|| json!({}))["merged"] = json!(n);
            }
            Deed::Turn(name, n, length) => {
                if let Some(record) = self.0.get_mut(name) {
                    record["totalTurns"] = json!(n);
                    let list = record
                        .as_object_mut()
                        .unwrap()
                        .entry("interactions")
                        .or_insert(json!([]));
                    list.as_array_mut().unwrap().push(interaction(*n, *length));
                }
            }
            Deed::Delete(name) => {
                self.0.remove(name);
            }
            Deed::Flush | Deed::Exit => {}
        }
    }

    /// What a JSON object of records holds, but for the times.
    pub(crate) fn of(json: &str) -> Self {
        let mut all: BTreeMap<String, Value> = serde_json::from_str(json).unwrap();
        for record in all.values_mut() {
            record.as_object_mut().unwrap().remove("lastSaved");
        }
        Self(all)
    }

    /// The numbers of a record's interactions.
    pub(crate) fn turns(&self, name: &str) -> Vec<u64> {
        let list = self
            .0
            .get(name)
            .and_then(|record| record["interactions"].as_array());
        list.into_iter()
            .flatten()
            .map(|turn| turn["n"].as_u64().unwrap())
            .collect()
    }
}
