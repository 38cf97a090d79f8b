//! Names for requests: the id that log, backend and user share, and the trace it begins.

use std::cell::Cell;

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
        let mut id = [b'0'; 32];
        write_hex(self.draw(), &mut id[..16]);
        write_hex(self.draw(), &mut id[16..]);
        header(&id)
    }

    /// A trace that begins here (W3C Trace Context, version 00).
    pub(super) fn traceparent(&self) -> HeaderValue {
        let mut trace = [b'-'; 55];
        trace[..2].copy_from_slice(b"00");
        trace[53..].copy_from_slice(b"01");
        write_hex(self.draw(), &mut trace[3..19]);
        write_hex(self.draw() | 1, &mut trace[19..35]);
        write_hex(self.draw() | 1, &mut trace[36..52]);
        header(&trace)
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

/// The two digits of each byte.
static PAIRS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [digits[byte >> 4], digits[byte & 0xf]];
        byte += 1;
    }
    pairs
};

fn write_hex(number: u64, out: &mut [u8]) {
    for (pair, byte) in out.as_chunks_mut().0.iter_mut().zip(number.to_be_bytes()) {
        *pair = PAIRS[usize::from(byte)];
    }
}

fn header(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
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
        let trace = trace.to_str().expect("ASCII");
        let parts: Vec<_> = trace.split('-').map(str::len).collect();
        assert!(trace.starts_with("00-") && trace.ends_with("-01") && parts == [2, 32, 16, 2], "{trace}");
    }
}
