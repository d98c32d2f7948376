//! How far the last message has got on its way to the process.

use crate::process::input::InputPipe;
use std::fmt::Debug;

/// The delivery of a message to the process, as far as the rules need it. Never blocks.
pub trait Delivery: Debug + Send + Sync {
    /// Takes the message back, if the process has not got a byte of it; returns whether it did.
    fn withdraw(&self) -> bool;

    /// Whether the process has got the whole message.
    fn is_complete(&self) -> bool;

    /// Stops writing, so that the rest of the message does not reach the process.
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
