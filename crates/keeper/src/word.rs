//! The messages of a host to its keeper, one line each.

use clearctx_proctree::InstanceId;

/// A line from the host to its keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// `+ID`: a session is about to be started.
    Watch(InstanceId),
    /// `!ID`: its CLI has had its SIGINT.
    Interrupted(InstanceId),
    /// `-ID`: the session is over, except for processes that its CLI was told to leave running.
    Release(InstanceId),
}

impl Word {
    /// The line, with its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        match self {
            Self::Watch(instance) => format!("+{instance}\n"),
            Self::Interrupted(instance) => format!("!{instance}\n"),
            Self::Release(instance) => format!("-{instance}\n"),
        }
    }

    /// Reads a line without its end. `None` if no host writes such a line.
    #[must_use]
    pub fn of_line(line: &str) -> Option<Self> {
        let instance = |kind| line.strip_prefix(kind).map(InstanceId::from);
        instance('+')
            .map(Self::Watch)
            .or_else(|| instance('!').map(Self::Interrupted))
            .or_else(|| instance('-').map(Self::Release))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_were_written() {
        for word in [
            Word::Watch("a".into()),
            Word::Interrupted("a-b".into()),
            Word::Release("+".into()),
        ] {
            let line = word.to_line();
            assert_eq!(Word::of_line(line.trim_end_matches('\n')), Some(word));
        }
        assert_eq!(Word::of_line("?a"), None);
        assert_eq!(Word::of_line(""), None);
    }
}
