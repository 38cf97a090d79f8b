//! Many rows written in one go, without a message that is long enough to hold up everybody else's.
//!
//! The rows are handed over in pieces, into a list that nobody reads; a script then takes them all at once.
//! What a process that dies on the way leaves behind is that list, and it expires.

use std::time::Duration;

use ::redis::{FromRedisValue, Script};

use super::Redis;
use crate::domain::{StoreError, Token};

/// Bytes of one piece, give or take a row.
const PIECE: usize = 128 * 1024;
/// How long rows wait for the script; each piece begins it anew.
const WAIT: Duration = Duration::from_mins(1);

impl Redis {
    /// Has `script` take `rows` to `key`, once.
    pub(super) async fn run_staged<T: FromRedisValue + Send>(
        &self,
        script: &Script,
        key: &str,
        rows: &[Vec<u8>],
    ) -> Result<T, StoreError> {
        let id = Token::random().map_err(|error| StoreError::Unreachable(error.to_string()))?.id();
        // The braces keep both keys on one node of a cluster.
        let staged = format!("{{{key}}}:staged:{}", id.to_text());
        for piece in pieces(rows) {
            let mut pipeline = ::redis::pipe();
            pipeline.cmd("RPUSH").arg(&staged).arg(piece).ignore();
            pipeline.pexpire(&staged, i64::try_from(WAIT.as_millis()).unwrap_or(i64::MAX)).ignore();
            self.change_all::<()>(&pipeline).await?;
        }
        let mut call = script.key(key);
        call.key(staged).arg(rows.len());
        let call = &call;
        self.link.once(|mut line| async move { call.invoke_async(&mut line).await }).await
    }
}

fn pieces(rows: &[Vec<u8>]) -> impl Iterator<Item = &[Vec<u8>]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut size = 0;
        let fits = rest.iter().take_while(|row| {
            let begun = size;
            size += row.len();
            begun < PIECE
        });
        let (piece, after) = rest.split_at(fits.count());
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_all_of_it_in_order() {
        let rows: Vec<Vec<u8>> = (0..50).map(|n| vec![n; 10_000 * usize::from(n)]).collect();
        let cut: Vec<&[Vec<u8>]> = pieces(&rows).collect();
        assert!(cut.len() > 10, "{}", cut.len());
        assert_eq!(cut.concat(), rows);
        assert_eq!(pieces(&[]).count(), 0);
    }
}
