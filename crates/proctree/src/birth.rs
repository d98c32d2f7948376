//! When and where a process was started: with its pid, this names it for ever.

use std::sync::OnceLock;

/// When and where a process was started. No two processes that have had the same pid share it, on any machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Birth {
    /// When, in the system's words.
    start: String,
    /// The boot of the system.
    boot: String,
    /// The namespaces in which the pid and the time count.
    ns: String,
}

/// What became of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is there.
    Alive,
    /// It has ended: this is proved.
    Ended,
    /// It cannot be seen from here: it is of another machine, an earlier boot or another container, or a sandbox hides it.
    Unknown,
}

impl Birth {
    /// That of this process; `None` if the system does not tell.
    #[must_use]
    pub fn of_self() -> Option<&'static Self> {
        static OWN: OnceLock<Option<Birth>> = OnceLock::new();
        OWN.get_or_init(|| {
            let (boot, ns) = platform::place()?;
            let start = platform::start(std::process::id()).ok()??;
            Some(Self { start, boot, ns })
        })
        .as_ref()
    }

    /// What became of the process of this pid that was born so.
    #[must_use]
    pub fn fate(&self, pid: u32) -> Fate {
        let is_here = Self::of_self().is_some_and(|own| own.boot == self.boot && own.ns == self.ns);
        if !is_here {
            return Fate::Unknown;
        }
        match platform::start(pid) {
            Ok(Some(start)) if start == self.start => Fate::Alive,
            Ok(_) => Fate::Ended,
            Err(Hidden) => Fate::Unknown,
        }
    }
}

/// There is a process that cannot be seen.
#[derive(Debug)]
struct Hidden;

#[cfg(unix)]
fn exists(pid: u32) -> bool {
    let number = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let tested = number.map(rustix::process::test_kill_process);
    matches!(tested, Some(outcome) if outcome != Err(rustix::io::Errno::SRCH))
}

#[cfg(target_os = "linux")]
mod platform {
    use super::{Hidden, exists};
    use crate::table;
    use std::fs;
    use std::io::ErrorKind;

    /// The boot, and the namespaces.
    pub(super) fn place() -> Option<(String, String)> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let link = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).ok();
        let pids = link("pid")?.to_str()?.to_owned();
        // Start times are counted in it. Kernels before 5.6 have none.
        let time = link("time").and_then(|link| Some(format!(" {}", link.to_str()?)));
        Some((boot.trim().to_owned(), pids + time.as_deref().unwrap_or_default()))
    }

    /// When the process of this pid was started; `None` if there is none.
    pub(super) fn start(pid: u32) -> Result<Option<String>, Hidden> {
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => Ok(table::seen_in(&stat).map(|seen| seen.start.to_string())),
            // Without a `/proc` that shows it, only the absence of a process is certain.
            Err(error) if error.kind() == ErrorKind::NotFound && !exists(pid) => Ok(None),
            Err(_) => Err(Hidden),
        }
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
mod platform {
    use super::{Hidden, exists};
    use crate::tools::output;

    /// The boot, and the namespaces, of which there is one.
    pub(super) fn place() -> Option<(String, String)> {
        let boot = output("/usr/sbin/sysctl", &["-n", "kern.bootsessionuuid"])?;
        Some((boot, String::new()))
    }

    /// When the process of this pid was started; `None` if there is none.
    pub(super) fn start(pid: u32) -> Result<Option<String>, Hidden> {
        match output("/bin/ps", &["-o", "stat=,lstart=", "-p", &pid.to_string()]) {
            Some(line) if line.starts_with('Z') => Ok(None),
            Some(line) => Ok(line.split_once(' ').map(|(_, start)| start.trim().to_owned())),
            None if exists(pid) => Err(Hidden),
            None => Ok(None),
        }
    }
}

/// Here processes of others are never ended, so nothing has to be proved.
#[cfg(not(unix))]
mod platform {
    use super::Hidden;

    pub(super) fn place() -> Option<(String, String)> {
        None
    }

    pub(super) fn start(_pid: u32) -> Result<Option<String>, Hidden> {
        Err(Hidden)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_is_told_from_a_later_one_of_its_pid() {
        let own = Birth::of_self().expect("/proc is there");
        assert_eq!(own.fate(std::process::id()), Fate::Alive);
        let other = Birth {
            start: "1".to_owned(),
            ..own.clone()
        };
        assert_eq!(other.fate(std::process::id()), Fate::Ended);
    }

    #[test]
    fn an_ended_process_is_proved_dead_before_and_after_it_was_reaped() {
        let own = Birth::of_self().expect("/proc is there");
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cat runs");
        let pid = child.id();
        let birth = Birth {
            start: platform::start(pid).expect("it is seen").expect("it is there"),
            ..own.clone()
        };
        assert_eq!(birth.fate(pid), Fate::Alive);
        drop(child.stdin.take());
        while platform::start(pid).expect("it is seen").is_some() {
            std::thread::yield_now();
        }
        assert_eq!(birth.fate(pid), Fate::Ended);
        child.wait().expect("it has ended");
        assert_eq!(birth.fate(pid), Fate::Ended);
    }

    #[test]
    fn what_is_of_another_boot_or_another_container_is_unknown() {
        let own = Birth::of_self().expect("/proc is there");
        let [boot, ns] = ["boot", "ns"].map(str::to_owned);
        for other in [Birth { boot, ..own.clone() }, Birth { ns, ..own.clone() }] {
            assert_eq!(other.fate(std::process::id()), Fate::Unknown);
            assert_eq!(other.fate(u32::MAX), Fate::Unknown);
        }
    }
}
