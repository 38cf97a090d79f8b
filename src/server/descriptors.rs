//! File descriptors: a client's connection takes one, and its request at a backend another.
//!
//! Where they are short it is the clients' connections that wait: a gateway that cannot open one to a backend, or its
//! own files, would fail everybody because of the many who wait for one Caf.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many connections of clients there may be of `wanted`, once this process may open as many files as it is ever
/// allowed to: three quarters of them at most.
pub(super) fn clients(wanted: usize) -> usize {
    let Some(files) = raised() else { return wanted };
    let room = share(wanted, files);
    if room < wanted {
        tracing::warn!(
            files,
            "the limit of open files leaves room for {room} connections, not the {wanted} of \
             server.max_connections: raise it (LimitNOFILE= of systemd, ulimit -n)"
        );
    }
    room
}

fn share(wanted: usize, files: usize) -> usize {
    wanted.min((files / 4 * 3).max(1))
}

/// The soft limit, raised to the hard one; `None` where there is none.
fn raised() -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // What is refused leaves the limit as it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    getrlimit(Resource::Nofile).current.map(|files| usize::try_from(files).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_left_for_backends() {
        assert_eq!(share(20_000, 524_288), 20_000);
        assert_eq!(share(20_000, 1_024), 768);
        assert_eq!(share(20_000, 0), 1);
    }
}
