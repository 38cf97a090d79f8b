//! HTTP/1.1 as it comes over the wire, read strictly before hyper reads it.
//!
//! hyper forgives what another reader on the way may read differently (a bare LF, a `Content-Length` beside
//! chunks, a fragment in the target), and answers what it cannot read with a bare status. So a [`Guard`] stands
//! between the socket and hyper: it lets whole heads through, each judged by [`head::Reader`], and follows bodies by
//! their length or their chunks, so that it knows where the next head begins.
//!
//! Why both always agree where that is: what the guard lets through is a subset of what hyper takes, and
//! within it each message has one end. The guard passes a head on once it has its length, hyper takes the same length from
//! the same head; so when both begin a message at the same byte, they end it at the same byte, and the
//! first one begins at the connection's first byte. `tests` holds them against each other.
//!
//! In the place of what is refused, hyper gets a request that no client can send ([`STAND_IN`]), whose answer is
//! the problem: so it comes in its turn, after the answers to the requests before it, and like any other.

mod chunks;
mod course;
mod guard;
mod head;
#[cfg(test)]
mod tests;

pub(super) use guard::Guard;

/// How the request begins that stands for a refused one; its method is `gate::STAND_IN_METHOD`.
const STAND_IN: &[u8] = b"x-octroi-refused / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n";
/// Longest `Accept` that is looked at in a refused head.
const ACCEPT_SIZE: usize = 512;

/// What stands for a request that is `refused`, as far as its head has come: a browser is told why on a page, so what
/// it accepts is said again, if that can be read.
fn stand_in(refused: &[u8]) -> Vec<u8> {
    let lines = refused.split(|byte| *byte == b'\n').skip(1).map(<[u8]>::trim_ascii);
    let accepted = lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_at_checked(b"accept:".len())?;
        name.eq_ignore_ascii_case(b"accept:").then_some(value)
    });
    let is_plain =
        |value: &&[u8]| value.len() <= ACCEPT_SIZE && value.iter().all(|byte| (b' '..=b'~').contains(byte));
    let accepted = accepted.filter(is_plain).map(|value| [b"accept: ", value.trim_ascii(), b"\r\n"].concat());
    [STAND_IN, &accepted.unwrap_or_default(), b"\r\n"].concat()
}
