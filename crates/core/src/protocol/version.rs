//! The version of the CLI, and what is known by it. What a process does itself shows more, where it shows it.

use crate::warnings;

/// The three numbers of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [u32; 3]);

/// The oldest version that is supported, as in `scripts/lib/claude-versions.mjs`; `docs/protocol.md` says what older ones lack.
pub const OLDEST_SUPPORTED: Version = Version([2, 1, 150]);

/// The last version whose totals are known to start at 0 in a resumed or forked process, and the first one whose totals
/// are known to go on.
const TOTALS: [Version; 2] = [Version([2, 1, 260]), Version([2, 1, 300])];

impl Version {
    /// The numbers of a version such as `2.1.330`, ignoring what follows.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.splitn(3, '.').map(|part| {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            part[..digits].parse().ok()
        });
        Some(Self([numbers.next()??, numbers.next()??, numbers.next()??]))
    }

    /// Whether the totals of a resumed or forked process go on from the saved ones; `None` if that is not known.
    #[must_use]
    pub fn totals_go_on(self) -> Option<bool> {
        let [last_anew, first_on] = TOTALS;
        match self {
            version if version <= last_anew => Some(false),
            version if version >= first_on => Some(true),
            _ => None,
        }
    }
}

impl Version {
    /// Warns, once for each version, of one with which sessions may behave otherwise than documented.
    pub(crate) fn warn_if_unsupported(self) {
        if self < OLDEST_SUPPORTED {
            let message = format!(
                "Claude Code {self} is older than {OLDEST_SUPPORTED}, the oldest version that clearctx supports. A message \
                 may get the answer of a turn that the CLI started by itself, or none. Update it."
            );
            warnings::warn_about("CLEARCTX_CLI_VERSION", self.to_string(), message);
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_its_three_numbers() {
        assert_eq!(Version::parse("2.1.330"), Some(Version([2, 1, 330])));
        assert_eq!(Version::parse("2.1.330-beta.1 (x)"), Some(Version([2, 1, 330])));
        for text in ["", "2", "2.1", "a.b.c", "2..1", "99999999999.0.0"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
