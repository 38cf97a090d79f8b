//! Sockets: each worker has its own for each address, and the kernel shares connections out among them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// An address could not be listened on. Whose fault: the configuration's or this machine's.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {why}")]
pub struct BindError {
    address: SocketAddr,
    why: io::Error,
}

/// The sockets of all workers.
#[derive(Debug)]
pub struct Listeners {
    addresses: Vec<SocketAddr>,
    by_worker: Vec<Vec<TcpListener>>,
}

impl Listeners {
    /// Listens on every address, once for each worker (`SO_REUSEPORT`). A port 0 becomes one free port for all.
    ///
    /// An address that another program listens on is refused, though that program may share it too.
    pub fn bind(addresses: &[SocketAddr], workers: usize) -> Result<Self, BindError> {
        let mut bound = Self { addresses: Vec::new(), by_worker: (0..workers).map(|_| Vec::new()).collect() };
        for address in addresses {
            bound.add(*address).map_err(|why| BindError { address: *address, why })?;
        }
        Ok(bound)
    }

    /// The addresses listened on, with their real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(super) fn into_workers(self) -> Vec<Vec<TcpListener>> {
        self.by_worker
    }

    fn add(&mut self, address: SocketAddr) -> io::Result<()> {
        let probe = open(address, false)?;
        let address = probe.local_addr()?;
        drop(probe);
        for own in &mut self.by_worker {
            own.push(open(address, true)?);
        }
        self.addresses.push(address);
        Ok(())
    }
}

fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
