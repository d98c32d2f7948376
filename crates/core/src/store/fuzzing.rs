//! Feeds any bytes to the readers of the two files of a data directory.

use super::cache::Cache;
use super::file::SessionsFile;
use super::object::Key;
use super::scan::{self, Text};
use super::stamp::Stamp;
use indexmap::IndexMap;
use serde_json::value::RawValue;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;

thread_local! {
    static DIR: TempDir = in_memory().expect("a temporary directory can be made");
}

/// A file system in memory, if the system has one, is ten times as fast.
pub(super) fn in_memory() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
}

/// Reads the bytes as `sessions.json`: they are a store exactly if they are a JSON object, and none of its names or
/// histories is lost.
pub(crate) fn sessions(data: &[u8]) {
    let path = DIR.with(|dir| dir.path().join("any"));
    fs::write(&path, data).expect("can be written");
    let file = File::open(path).expect("is there");
    let stamp = file.metadata().and_then(|metadata| Stamp::of(&metadata));
    let text = scan::scan(file, stamp.expect("has a stamp")).expect("can be read");
    let lossy = String::from_utf8_lossy(data);
    let plain = lossy.strip_prefix('\u{feff}').unwrap_or(&lossy);
    let expected = serde_json::from_str::<IndexMap<Key, &RawValue>>(plain);
    match (text, expected) {
        (Text::Object(contents), Ok(expected)) => {
            assert!(contents.entries().map(|(key, _)| key).eq(expected.keys()));
            records(&contents);
        }
        (Text::Blank, _) => assert!(lossy.trim().is_empty()),
        (Text::Broken, Err(_)) => {}
        (Text::Object(_), Err(error)) => panic!("taken for an object: {error}"),
        (Text::Broken, Ok(_)) => panic!("an object that was not read"),
    }
}

/// Reads the bytes as `sessions.journal`, in two parts: following it must give the same contents as reading it at once.
pub(crate) fn journal(data: &[u8]) {
    let Some((first, lines)) = data.split_first() else {
        return;
    };
    let cut = lines.len() * usize::from(*first) / 256;
    DIR.with(|dir| {
        let path = dir.path().join("sessions.journal");
        let file = SessionsFile::new(dir.path());
        fs::write(&path, &lines[..cut]).expect("can be written");
        let mut running = Cache::default();
        let begun = running.refresh(dir.path(), &file);
        let mut append = OpenOptions::new().append(true).open(&path).expect("is there");
        append.write_all(&lines[cut..]).expect("can be written");
        let news = begun.is_ok().then(|| running.refresh(dir.path(), &file));
        let mut reader = Cache::default();
        let read = reader.refresh(dir.path(), &file);
        // What is followed and what is read agree once the first line was whole.
        let has_header = lines[..cut].contains(&b'\n');
        if has_header && read.is_ok() && news.is_some_and(|news| news.is_ok()) {
            let (kept, read) = (records(&running.contents), records(&reader.contents));
            assert_eq!(kept, read);
            let _ = (reader.is_behind(), reader.size(), reader.is_long());
        }
    });
}

/// JSON of all records, whole. Each is read back.
fn records(contents: &super::contents::Contents) -> Vec<String> {
    let whole = contents.records().map(|(_, stored)| {
        let record = stored.whole(&stored.head).expect("its files are there");
        let json = record.to_json();
        assert!(
            serde_json::from_str::<&RawValue>(&json).is_ok(),
            "no JSON: {json}"
        );
        json
    });
    whole.collect()
}
