//! Gracefully ends sessions without an owner: those of a host that ended without a keeper, before their conversation is
//! continued and when a manager starts; and those of a worker thread that ended.

use super::kill_tree;
use clearctx_proctree::{InstanceId, terminate};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;
use tokio::sync::watch;

/// The sessions that are being ended. Each gets one SIGINT, however many callers end it.
static ENDING: LazyLock<Mutex<HashMap<InstanceId, watch::Receiver<()>>>> = LazyLock::new(Mutex::default);

/// Ends these sessions and waits until they are gone. Needs the runtime's context.
///
/// # Cancel safety
/// They are ended even if the future is dropped.
pub async fn end(instances: BTreeSet<InstanceId>) {
    for mut ending in begin(instances) {
        // Nothing is ever sent: it fails when the work is done.
        let _ = ending.changed().await;
    }
}

fn begin(instances: BTreeSet<InstanceId>) -> Vec<watch::Receiver<()>> {
    let mut ending = lock();
    let (begun, fresh): (Vec<_>, Vec<_>) = instances
        .into_iter()
        .partition(|instance| ending.contains_key(instance));
    let mut waits: Vec<_> = begun.iter().map(|instance| ending[instance].clone()).collect();
    if fresh.is_empty() {
        return waits;
    }
    let (done, wait) = watch::channel(());
    for instance in &fresh {
        ending.insert(instance.clone(), wait.clone());
    }
    waits.push(wait);
    let fresh: BTreeSet<InstanceId> = fresh.into_iter().collect();
    tokio::task::spawn_blocking(move || {
        kill_tree::warn_of(&terminate::end_abandoned(fresh.clone(), &BTreeSet::new()));
        lock().retain(|instance, _| !fresh.contains(instance));
        drop(done);
    });
    waits
}

fn lock() -> MutexGuard<'static, HashMap<InstanceId, watch::Receiver<()>>> {
    ENDING.lock()
}
