//! The identity of one session object.

use std::borrow::Borrow;
use std::fmt::{self, Display, Formatter};

/// Variable in the environment of a CLI, and so of all its tools, that holds the [`InstanceId`].
pub const INSTANCE_VARIABLE: &str = "CLEARCTX_SESSION";

/// Names one session object: no other one on this machine has it, in any process. It is in the environment of the
/// session's processes, in the `owner` of its record, and in its conversation lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct InstanceId(String);

impl InstanceId {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for InstanceId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl From<&str> for InstanceId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl Borrow<str> for InstanceId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Display for InstanceId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
