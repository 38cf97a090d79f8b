//! Names for requests: the id that log, backend and user share, and the trace it begins.

use std::cell::Cell;
use std::fmt::Write as _;

use http::HeaderValue;

/// Draws ids that do not repeat; they are names, not secrets. One for each worker.
#[derive(Debug)]
pub(super) struct Ids(Cell<u64>);

impl Ids {
    /// A sequence that begins at a random place.
    pub(super) fn new() -> Self {
        let mut seed = [0; 8];
        // Without entropy the sequence begins at 0: ids may then repeat those of another worker, nothing worse.
        let _ = aws_lc_rs::rand::fill(&mut seed);
        Self(Cell::new(u64::from_le_bytes(seed)))
    }

    /// A request's id: 32 hexadecimal digits.
    pub(super) fn request(&self) -> HeaderValue {
        let mut id = String::with_capacity(32);
        let _ = write!(id, "{:016x}{:016x}", self.draw(), self.draw());
        header(id)
    }

    /// A trace that begins here (W3C Trace Context, version 00).
    pub(super) fn traceparent(&self) -> HeaderValue {
        let mut trace = String::with_capacity(55);
        let (high, low, span) = (self.draw(), self.draw() | 1, self.draw() | 1);
        let _ = write!(trace, "00-{high:016x}{low:016x}-{span:016x}-01");
        header(trace)
    }

    /// `SplitMix64` (Steele, Lea and Flood, 2014).
    fn draw(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_have_their_shape() {
        let ids = Ids::new();
        let (one, other) = (ids.request(), ids.request());
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
        let trace = ids.traceparent();
        assert_eq!(trace.len(), 55);
        assert!(trace.to_str().expect("ASCII").starts_with("00-"));
    }
}
