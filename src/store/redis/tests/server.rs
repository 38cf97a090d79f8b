//! A real `redis-server`, in a folder of its own on a free port.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use secrecy::SecretString;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub(super) struct Server {
    process: Child,
    port: u16,
    dir: TempDir,
    /// Keeps the port while no server is there.
    _place: Socket,
}

impl Server {
    /// Starts one, and waits until it answers.
    pub(super) async fn start() -> Self {
        let ((place, port), dir) = (own_port(), tempfile::tempdir().expect("a folder"));
        let mut server = Self { process: spawn(port, &dir), port, dir, _place: place };
        assert!(server.answers().await, "redis-server does not start");
        server
    }

    pub(super) fn url(&self) -> SecretString {
        format!("redis://127.0.0.1:{}", self.port).into()
    }

    /// Another client than the store.
    pub(super) async fn client(&self) -> ::redis::aio::MultiplexedConnection {
        let client = ::redis::Client::open(("127.0.0.1", self.port)).expect("an address");
        client.get_multiplexed_async_connection().await.expect("a connection")
    }

    pub(super) fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("ended");
    }

    /// Starts it again on the same port, empty.
    pub(super) async fn restart(&mut self) {
        self.process = spawn(self.port, &self.dir);
        assert!(self.answers().await, "redis-server does not start again");
    }

    /// Stops it without closing its connections, as a cut cable does.
    pub(super) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(super) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().expect("kill runs");
        assert!(status.success());
    }

    async fn answers(&mut self) -> bool {
        let client = ::redis::Client::open(("127.0.0.1", self.port)).expect("an address");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if self.process.try_wait().expect("a state").is_some() {
                return false;
            }
            if let Ok(mut line) = client.get_multiplexed_async_connection().await
                && ::redis::cmd("PING").exec_async(&mut line).await.is_ok()
            {
                return true;
            }
            sleep(Duration::from_millis(5)).await;
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that nobody else gets for as long as the socket is kept; a server that says `SO_REUSEADDR` may listen there.
fn own_port() -> (Socket, u16) {
    let place = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    place.set_reuse_address(true).expect("a place to share");
    place.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    let address = place.local_addr().expect("an address").as_socket().expect("an address");
    (place, address.port())
}

fn spawn(port: u16, dir: &TempDir) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}
