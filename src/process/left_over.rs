//! Ends in peace the sessions that nobody owns any more: what a host left behind that ended without a keeper, for
//! whoever wants to go on with the conversation and for the sweep at the start of a manager; what a worker thread left.

use super::tree;
use std::collections::{BTreeSet, HashMap};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Marks of the sessions that are being ended: each gets one SIGINT, however many want its end.
static ENDING: LazyLock<Mutex<HashMap<String, watch::Receiver<()>>>> = LazyLock::new(Mutex::default);

/// Ends the sessions of these marks and waits until they are gone. Needs the runtime's context.
///
/// # Cancel safety
/// They are ended also if nobody waits any more.
pub async fn end(marks: BTreeSet<String>) {
    for mut ending in begin(marks) {
        // Nothing is ever sent: it fails when the work is done.
        let _ = ending.changed().await;
    }
}

fn begin(marks: BTreeSet<String>) -> Vec<watch::Receiver<()>> {
    let mut ending = lock();
    let (begun, fresh): (Vec<_>, Vec<_>) = marks.into_iter().partition(|mark| ending.contains_key(mark));
    let mut waits: Vec<_> = begun.iter().map(|mark| ending[mark].clone()).collect();
    if fresh.is_empty() {
        return waits;
    }
    let (done, wait) = watch::channel(());
    for mark in &fresh {
        ending.insert(mark.clone(), wait.clone());
    }
    waits.push(wait);
    let fresh: BTreeSet<String> = fresh.into_iter().collect();
    tokio::task::spawn_blocking(move || {
        tree::end_abandoned(fresh.clone(), &BTreeSet::new());
        lock().retain(|mark, _| !fresh.contains(mark));
        drop(done);
    });
    waits
}

fn lock() -> MutexGuard<'static, HashMap<String, watch::Receiver<()>>> {
    ENDING.lock().unwrap_or_else(PoisonError::into_inner)
}
