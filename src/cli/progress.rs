//! A bar on a terminal: how far a long command is.

use std::io::Write;

use crate::admin::{Stage, Step};

const WIDTH: usize = 30;

/// A bar that is drawn over itself, and leaves nothing behind.
pub(super) struct Bar<W: Write> {
    terminal: W,
    /// The beginning of a line that has not come whole yet.
    begun: Vec<u8>,
    drawn: bool,
}

impl<W: Write> Bar<W> {
    pub(super) fn new(terminal: W) -> Self {
        Self { terminal, begun: Vec::new(), drawn: false }
    }

    /// Takes a piece of a response that tells steps line by line.
    pub(super) fn hear(&mut self, piece: &[u8]) {
        self.begun.extend_from_slice(piece);
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            // The last line is no step.
            if let Ok(step) = serde_json::from_slice::<Step>(&line) {
                self.draw(&step);
            }
        }
    }

    /// Leaves the line empty for what comes next.
    pub(super) fn clear(&mut self) {
        if self.drawn {
            // What cannot be drawn is not worth an error.
            let _ = write!(self.terminal, "\r\u{1b}[K");
            let _ = self.terminal.flush();
        }
    }

    fn draw(&mut self, step: &Step) {
        let (stage, unit) = match step.stage {
            Stage::Reading => ("reading", ""),
            Stage::Comparing => ("comparing with the store", " rows"),
            Stage::Hashing => ("hashing provisional passwords", ""),
            Stage::Writing => ("writing all in one go", " rows"),
            Stage::Ending => ("ending sessions", ""),
        };
        let filled = (step.done * WIDTH).checked_div(step.of).unwrap_or(0).min(WIDTH);
        let bar = format!("{}{}", "#".repeat(filled), ".".repeat(WIDTH - filled));
        let (of, done) = (step.of, step.done);
        let _ = match step.stage {
            Stage::Hashing | Stage::Ending => {
                write!(self.terminal, "\r\u{1b}[K[{bar}] {stage}, {done}/{of}{unit}")
            }
            _ => write!(self.terminal, "\r\u{1b}[K{stage}, {of}{unit}"),
        };
        let _ = self.terminal.flush();
        self.drawn = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_drawn_however_they_are_cut_and_the_rest_is_not() {
        let mut drawn = Vec::new();
        let mut bar = Bar::new(&mut drawn);
        bar.clear();
        let told = b"{\"stage\":\"hashing\",\"done\":10,\"of\":20}\n{\"status\":200,\"answer\":{}}\n";
        told.chunks(7).for_each(|piece| bar.hear(piece));
        bar.hear(b"{\"stage\":\"hashing\",\"done\":7,\"of\":0}\n");
        bar.clear();
        let drawn = String::from_utf8(drawn).expect("text");
        let half = format!("[{}{}] hashing provisional passwords, 10/20", "#".repeat(15), ".".repeat(15));
        assert!(drawn.contains(&half), "{drawn:?}");
        assert!(!drawn.contains("status") && drawn.ends_with("\r\u{1b}[K"), "{drawn:?}");
        assert!(drawn.split('\r').all(|line| line.chars().count() < 80), "{drawn:?}");
    }
}
