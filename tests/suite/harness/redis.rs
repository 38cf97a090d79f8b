//! A real redis-server of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{closed_address, eventually};

pub struct Redis {
    folder: TempDir,
    address: SocketAddr,
    process: Child,
    /// Keeps the address while no server is there.
    _place: socket2::Socket,
}

impl Redis {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (place, address) = closed_address();
        let process = spawn(&folder, address);
        let redis = Self { folder, address, process, _place: place };
        redis.answers();
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// With the data that it had written.
    pub fn restart(&mut self) {
        self.process = spawn(&self.folder, self.address);
        self.answers();
    }

    /// The answer to an inline command, as it comes over the wire.
    pub fn ask(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Its folder, where all that it was told is written at once.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    fn answers(&self) {
        eventually("redis-server answers", || TcpStream::connect(self.address).is_ok());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(folder: &TempDir, address: SocketAddr) -> Child {
    let port = address.port().to_string();
    let options = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ];
    Command::new("redis-server")
        .args(options)
        .arg("--dir")
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed (tests/run sees to it)")
}
