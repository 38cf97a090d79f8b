//! Where WebSocket frames begin and end (RFC 6455 section 5.2): no more of them is looked at.

/// Follows the frames of one direction.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; 14],
    have: usize,
    left: u64,
    is_data: bool,
}

impl Frames {
    /// Reads on; whether there was something of a frame that a person or a program sends: pongs and the like
    /// a browser sends by itself.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> bool {
        let mut saw_data = false;
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let payload = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left -= payload as u64;
                bytes = bytes.get(payload..).unwrap_or_default();
            } else {
                bytes = rest;
                self.header[self.have] = *first;
                self.have += 1;
                if self.have < self.header_size() {
                    continue;
                }
                self.left = self.payload_size();
                // Continuation, text and binary; from 8 on, control.
                self.is_data = self.header[0] & 0x0f < 8;
                self.have = 0;
            }
            saw_data |= self.is_data;
        }
        saw_data
    }

    /// Whether a frame may be put in here.
    pub(super) fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    fn header_size(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        mask + match self.header[1] & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    fn payload_size(&self) -> u64 {
        let [_, short, size @ ..] = self.header;
        let count = match short & 0x7f {
            126 => 2,
            127 => 8,
            short => return u64::from(short),
        };
        size.iter().take(count).fold(0, |total, byte| (total << 8) | u64::from(*byte))
    }
}

/// A frame that closes, as the server's side of the gateway sends it; the reason in at most 123 bytes.
pub(super) fn close(code: u16, reason: &str) -> Vec<u8> {
    let reason = reason.as_bytes().get(..reason.len().min(123)).unwrap_or_default();
    let size = u8::try_from(reason.len() + 2).unwrap_or(2);
    [&[0x88, size], code.to_be_bytes().as_slice(), reason].concat()
}

/// The same as a client sends it: masked (with zeros, since nothing here is a browser's).
pub(super) fn masked_close(code: u16) -> Vec<u8> {
    [[0x88, 0x82, 0, 0, 0, 0].as_slice(), &code.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, masked: bool, size: usize) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match size {
            0..126 => bytes.push(mask | u8::try_from(size).expect("small")),
            126..65_536 => {
                bytes.push(mask | 0x7e);
                bytes.extend(u16::try_from(size).expect("fits").to_be_bytes());
            }
            _ => {
                bytes.push(mask | 0x7f);
                bytes.extend((size as u64).to_be_bytes());
            }
        }
        bytes.extend(vec![0; if masked { 4 } else { 0 }]);
        bytes.extend(vec![0x88; size]);
        bytes
    }

    #[test]
    fn what_a_browser_sends_by_itself_is_no_data() {
        for (opcode, is_data) in [(0, true), (1, true), (2, true), (8, false), (9, false), (10, false)] {
            for size in [0, 1, 125] {
                assert_eq!(Frames::default().read(&frame(opcode, true, size)), is_data, "{opcode} {size}");
            }
        }
    }

    #[test]
    fn frames_end_where_they_say_however_they_come() {
        for masked in [true, false] {
            for size in [0, 1, 125, 126, 65_535, 65_536, 100_000] {
                let bytes = frame(1, masked, size);
                for step in [1, 7, bytes.len()] {
                    let mut frames = Frames::default();
                    let mut seen = 0;
                    for piece in bytes.chunks(step) {
                        frames.read(piece);
                        seen += piece.len();
                        assert_eq!(frames.is_between(), seen == bytes.len(), "{masked} {size} {step} {seen}");
                    }
                    assert!(!frames.read(&frame(10, masked, 0)) && frames.is_between());
                }
            }
        }
    }

    #[test]
    fn what_closes_is_one_frame() {
        for bytes in [close(1008, "session terminée"), close(1001, &"é".repeat(100)), masked_close(1001)] {
            let mut frames = Frames::default();
            assert!(!frames.read(&bytes) && frames.is_between(), "{bytes:?}");
        }
    }
}
