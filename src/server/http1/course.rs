//! The course of a connection's messages: head, body, next head, up to what cannot be read.

use super::chunks::Chunks;
use super::head::{Head, Length, Reader};
use crate::gate::{Link, Malformed};

/// Where in the client's messages the next byte that is not judged yet stands.
pub(super) enum At {
    Head(Reader),
    Known(u64),
    Chunks(Chunks),
    /// After a request that may change the protocol, until it is answered.
    Crossroads,
    /// Another protocol, which is none of our business here.
    Tunnel,
    /// A body that can no longer be read.
    Broken,
    /// After a refused head.
    Refused,
}

/// What is left of a slice once it is judged.
pub(super) struct Judged {
    /// How many of its bytes hyper may have.
    pub(super) cleared: usize,
    /// The head that begins after them is refused.
    pub(super) refused: Option<Malformed>,
}

impl At {
    /// Follows the messages in `bytes`, which begin where this stands; at a head's first byte if this is a head.
    pub(super) fn judge(&mut self, bytes: &[u8], link: &Link) -> Judged {
        let mut at = 0;
        // Where the message begins of which hyper has nothing yet.
        let mut begin = matches!(self, Self::Head(_)).then_some(0);
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            match self.step(rest) {
                Ok(Some(used)) => at += used,
                Ok(None) => return Judged { cleared: at, refused: None },
                Err(why) => {
                    *self = if begin.is_some() { Self::Refused } else { Self::Broken };
                    return Judged { cleared: begin.unwrap_or(at), refused: begin.map(|_| why) };
                }
            }
            match self {
                Self::Head(_) => begin = Some(at),
                Self::Crossroads => {
                    link.ask();
                    return Judged { cleared: at, refused: None };
                }
                _ => {}
            }
        }
        Judged { cleared: at, refused: None }
    }

    /// One head, or what there is of one body; `None` if a head is not complete.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        match self {
            Self::Head(reader) => {
                let Some(head) = reader.read(bytes)? else { return Ok(None) };
                *self = Self::after(head);
                Ok(Some(head.end))
            }
            Self::Known(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= used as u64;
                if *left == 0 {
                    *self = Self::Head(Reader::default());
                }
                Ok(Some(used))
            }
            Self::Chunks(chunks) => {
                let (used, is_end) = chunks.read(bytes)?;
                if is_end {
                    *self = Self::Head(Reader::default());
                }
                Ok(Some(used))
            }
            Self::Crossroads | Self::Tunnel | Self::Broken | Self::Refused => Ok(None),
        }
    }

    fn after(head: Head) -> Self {
        match head.body {
            Length::Known(0) if head.may_switch => Self::Crossroads,
            Length::Known(0) => Self::Head(Reader::default()),
            Length::Known(length) => Self::Known(length),
            Length::Chunked => Self::Chunks(Chunks::new()),
        }
    }
}
