//! What became of the message that was written last.

use crate::process::input::InputPipe;
use std::fmt::Debug;

/// The way of a message to its process, as far as the rules need to know of it. Never blocks.
pub trait Delivery: Debug + Send + Sync {
    /// Takes the message back, if the process has not got a byte of it. Whether that could be done.
    fn withdraw(&self) -> bool;

    /// Whether the process has got all of it.
    fn is_complete(&self) -> bool;

    /// Writes nothing more, for what is left of it must not reach the process.
    fn give_up(&self);
}

impl Delivery for InputPipe {
    fn withdraw(&self) -> bool {
        Self::withdraw(self)
    }

    fn is_complete(&self) -> bool {
        self.has_taken_all()
    }

    fn give_up(&self) {
        self.close();
    }
}
