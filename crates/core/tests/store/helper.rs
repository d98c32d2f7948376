//! Other processes. Each line a helper prints that has `> ` in it is an answer to the test.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{self, Child, ChildStdin, ChildStdout, Command, Stdio};

use clearctx_core::error::Error;
use clearctx_core::store::Store;
use serde_json::json;

use crate::fixture::{merge, put, put_if_free, turn};

const ROLE: &str = "CLEARCTX_STORE_TEST_ROLE";
const DIR: &str = "CLEARCTX_STORE_TEST_DIR";

pub(crate) struct Helper {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Helper {
    pub(crate) fn start(role: &str, dir: &Path) -> Self {
        Self::run(Command::new(env::current_exe().unwrap()), role, dir)
    }

    pub(crate) fn run(mut command: Command, role: &str, dir: &Path) -> Self {
        command.args(["--exact", "helper_process", "--nocapture", "--test-threads=1"]);
        command
            .env(ROLE, role)
            .env(DIR, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            // libtest's own words may stand before ours on the same line.
            if let Some((_, answer)) = line.split_once("> ") {
                return answer.trim().to_owned();
            }
            line.clear();
        }
        panic!("helper ended without an answer");
    }

    /// All answers to the end of a process that was killed.
    pub(crate) fn hear_all(&mut self) -> Vec<String> {
        let mut answers = Vec::new();
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            // The last line may be torn.
            if let Some((_, answer)) = line.split_once("> ")
                && line.ends_with('\n')
            {
                answers.push(answer.trim().to_owned());
            }
            line.clear();
        }
        answers
    }

    pub(crate) fn join(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn answer(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "> {text}").unwrap();
    out.flush().unwrap();
}

pub(crate) fn wait_for_line() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// Plays the role the environment names; does nothing in the test process itself.
pub(crate) fn play_role() {
    let Ok(role) = env::var(ROLE) else { return };
    let store = Store::open(Path::new(&env::var(DIR).unwrap())).unwrap();
    match role.as_str() {
        "turns" => write_turns(&store),
        "race" => race_for_names(&store),
        "owner" => own_a_record(&store),
        "lock" => hold_the_lock(&store),
        "deeds" => crate::crash::do_deeds(&store),
        "crowd" => crate::crowd::join_the_crowd(&store),
        #[cfg(target_os = "linux")]
        "rewrite" => crate::foreign::rewrite(&store),
        #[cfg(unix)]
        "full" => crate::disk::fill_the_disk(&store),
        other => panic!("{other}"),
    }
}

fn write_turns(store: &Store) {
    answer("ready");
    let name = wait_for_line();
    for n in 0..50 {
        store.apply([turn("shared", None, n)]).unwrap();
        store
            .apply([merge(&format!("{name}-{n}"), &json!({ "n": n }))])
            .unwrap();
    }
}

fn race_for_names(store: &Store) {
    answer("ready");
    loop {
        let name = wait_for_line();
        if name.is_empty() {
            return;
        }
        let outcome = store.apply([put_if_free(
            &name,
            &json!({ "status": "busy", "by": process::id() }),
        )]);
        match outcome {
            Ok(_) => answer("won"),
            Err(Error::SessionStored { status, .. }) => answer(&status),
            Err(error) => panic!("{error}"),
        }
    }
}

fn own_a_record(store: &Store) {
    let owner = store.owner(&"token-1".into()).unwrap();
    let record = json!({
        "name": "s", "status": "busy", "created": "2026-01-01T00:00:00.000Z", "pid": 4711, "owner": owner,
    });
    store.apply([put("s", &record)]).unwrap();
    answer(&owner.host);
    wait_for_line();
}

fn hold_the_lock(store: &Store) {
    let path = store.data_dir().join("sessions.lock");
    let mut file = fs::File::options().create(true).append(true).open(path).unwrap();
    file.lock().unwrap();
    file.set_len(0).unwrap();
    writeln!(file, "{}", process::id()).unwrap();
    answer("locked");
    wait_for_line();
}
