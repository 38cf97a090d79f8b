//! A backend on a real socket, which records the very bytes it gets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::client::find;

/// A declaration backend of one Caf.
pub struct Backend {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    script: Mutex<Script>,
    bytes: AtomicUsize,
    over: AtomicBool,
}

/// What it does with a request, once it has recorded it.
pub type Script = Arc<dyn Fn(&Received, &mut TcpStream) -> Then + Send + Sync>;

/// What becomes of the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Then {
    Keep,
    Close,
}

/// A request as it came over the wire.
#[derive(Debug, Clone)]
pub struct Received {
    pub head: String,
    pub body: Vec<u8>,
}

impl Received {
    /// The request line.
    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap()
    }

    /// All values of a header, by its name without case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The only value of a header.
    pub fn one(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in {}", self.head);
        all[0]
    }
}

impl Backend {
    /// Answers everything with `200` and its own name.
    pub fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            script: Mutex::new(answer(&format!("Caf {name}"))),
            bytes: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if served.over.load(Ordering::Relaxed) {
                    return;
                }
                let (shared, stream) = (Arc::clone(&served), stream.unwrap());
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, shared }
    }

    /// What it does from now on.
    pub fn script(&self, script: Script) {
        *self.shared.script.lock().unwrap() = script;
    }

    /// What it got so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The last request it got.
    pub fn last(&self) -> Received {
        self.received().pop().expect("the backend got a request")
    }

    /// How many bytes it got, of whole requests or not.
    pub fn bytes(&self) -> usize {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// How many requests it got.
    pub fn count(&self) -> usize {
        self.shared.received.lock().unwrap().len()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers `200` with a text.
pub fn answer(text: &str) -> Script {
    respond(&format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    ))
}

/// Answers `200` with headers of its own (each line ends with CRLF) and a text.
pub fn answer_with(headers: &str, text: &str) -> Script {
    respond(&format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{text}", text.len()))
}

/// Answers with these very bytes.
pub fn respond(bytes: &str) -> Script {
    let bytes = bytes.as_bytes().to_vec();
    Arc::new(move |_, stream| {
        let _ = stream.write_all(&bytes);
        Then::Keep
    })
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let mut bytes = Vec::new();
    while let Some(received) = receive(&mut stream, &mut bytes, &shared.bytes) {
        shared.received.lock().unwrap().push(received.clone());
        let script = Arc::clone(&shared.script.lock().unwrap());
        if script(&received, &mut stream) == Then::Close {
            return;
        }
    }
}

fn receive(stream: &mut TcpStream, bytes: &mut Vec<u8>, count: &AtomicUsize) -> Option<Received> {
    let mut stream = Counted { stream, count };
    let stream = &mut stream;
    let end = more_until(stream, bytes, |bytes| find(bytes, b"\r\n\r\n"))?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    bytes.drain(..end + 4);
    let mut received = Received { head, body: Vec::new() };
    if received.all("transfer-encoding").contains(&"chunked") {
        loop {
            let end = more_until(stream, bytes, |bytes| find(bytes, b"\r\n"))?;
            let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?, 16).ok()?;
            bytes.drain(..end + 2);
            more_until(stream, bytes, |bytes| (bytes.len() >= size + 2).then_some(0))?;
            received.body.extend(bytes.drain(..size));
            bytes.drain(..2);
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = received.all("content-length").first().and_then(|text| text.parse().ok()) {
        more_until(stream, bytes, |bytes| (bytes.len() >= length).then_some(0))?;
        received.body = bytes.drain(..length).collect();
    }
    Some(received)
}

/// Counts what comes.
struct Counted<'a> {
    stream: &'a mut TcpStream,
    count: &'a AtomicUsize,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.count.fetch_add(read, Ordering::Relaxed);
        Ok(read)
    }
}

fn more_until(
    stream: &mut Counted<'_>,
    bytes: &mut Vec<u8>,
    enough: impl Fn(&[u8]) -> Option<usize>,
) -> Option<usize> {
    let mut buffer = vec![0; 65_536];
    loop {
        if let Some(found) = enough(bytes) {
            return Some(found);
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}
