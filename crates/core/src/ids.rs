//! Ids with types of their own.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

/// The caller's name for a session: not empty, and without null characters, which no file and no argument can hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionName(String);

impl SessionName {
    /// The name of this text.
    ///
    /// # Errors
    /// `ERR_INVALID_ARG_VALUE`.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let expected = if name.is_empty() {
            "a non-empty string"
        } else if name.contains('\0') {
            "a string without null characters"
        } else {
            return Ok(Self(name));
        };
        Err(Error::InvalidArgValue {
            argument: "name".to_owned(),
            expected: expected.to_owned(),
            received: format!("{name:?}"),
        })
    }
}

impl Deref for SessionName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for SessionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The CLI's id of a conversation, its `session_id`. It is a UUID, except for a conversation that is resumed by its
/// title, until the first init reports the id. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConversationId(String);

impl ConversationId {
    /// The id with this text; `None` if the text is empty.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Option<Self> {
        let id = id.into();
        (!id.is_empty()).then_some(Self(id))
    }

    /// The id of a new conversation.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for ConversationId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<ConversationId> for String {
    fn from(id: ConversationId) -> Self {
        id.0
    }
}
