//! A small HTTP/1.1 client that hides nothing: bytes out, bytes in, a cookie jar between.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Someone who calls: a browser or a program, with a jar of cookies.
#[derive(Debug, Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub jar: BTreeMap<String, String>,
}

/// A request being put together.
#[derive(Debug)]
pub struct Request<'a> {
    client: &'a mut Client,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, jar: BTreeMap::new() }
    }

    pub fn get(&mut self, target: &str) -> Request<'_> {
        self.request("GET", target)
    }

    pub fn post(&mut self, target: &str) -> Request<'_> {
        self.request("POST", target)
    }

    pub fn request(&mut self, method: &str, target: &str) -> Request<'_> {
        Request {
            client: self,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// The session's cookie over plain HTTP.
    pub fn session(&self) -> Option<&str> {
        self.jar.get("octroi").map(String::as_str)
    }

    /// All cookies, as a header's value.
    pub fn cookies(&self) -> String {
        let pairs: Vec<String> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    /// Sends bytes as they are and reads one response; `None` when the connection ends without one.
    pub fn raw(&self, bytes: &[u8]) -> Option<Response> {
        let mut stream = connect(self.address);
        // A gateway that refuses early may close while the rest is still being written.
        let _ = stream.write_all(bytes);
        read_response(&mut stream, bytes.starts_with(b"HEAD "))
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    // Longer than an import of thousands takes on a busy machine.
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

impl Request<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As a browser's navigation.
    pub fn page(self) -> Self {
        self.header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
    }

    /// As a program that reads JSON.
    pub fn program(self) -> Self {
        self.header("Accept", "application/json")
    }

    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string().as_bytes())
    }

    /// As a browser that posts a form.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.page().body("application/x-www-form-urlencoded", body.as_bytes())
    }

    pub fn body(mut self, content_type: &str, bytes: &[u8]) -> Self {
        self.body = Some(bytes.to_vec());
        self.header("Content-Type", content_type)
    }

    /// Sends it on a connection of its own, and keeps the cookies that come back.
    pub fn send(self) -> Response {
        let bytes = self.bytes();
        let response = self.client.raw(&bytes).expect("a response");
        for (_, cookie) in response.headers.iter().filter(|(name, _)| name == "set-cookie") {
            keep(&mut self.client.jar, cookie);
        }
        response
    }

    /// What is sent.
    pub fn bytes(&self) -> Vec<u8> {
        let named = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let mut lines = vec![format!("{} {} HTTP/1.1", self.method, self.target)];
        if !named("connection") {
            lines.push("Connection: close".to_owned());
        }
        if !named("host") {
            lines.push(format!("Host: {}", self.client.address));
        }
        if !named("cookie") && !self.client.jar.is_empty() {
            lines.push(format!("Cookie: {}", self.client.cookies()));
        }
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if let Some(body) = &self.body {
            lines.push(format!("Content-Length: {}", body.len()));
        }
        let mut bytes = (lines.join("\r\n") + "\r\n\r\n").into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

fn keep(jar: &mut BTreeMap<String, String>, set_cookie: &str) {
    let (pair, attributes) = set_cookie.split_once(';').unwrap_or((set_cookie, ""));
    let (name, value) = pair.split_once('=').expect("a cookie");
    if attributes.to_ascii_lowercase().contains("max-age=0") {
        jar.remove(name);
    } else {
        jar.insert(name.to_owned(), value.to_owned());
    }
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// A problem's code; asserts that it is one, whole (contract, section 2; RFC 9457).
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let problem = self.json();
        let code = problem["code"].as_str().expect("a code").to_owned();
        assert_eq!(problem["type"], format!("urn:octroi:probleme:{code}"));
        assert_eq!(problem["status"], self.status);
        for member in ["title", "detail", "requete"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
        }
        code
    }

    /// Status and code of a problem.
    pub fn problem(&self) -> (u16, String) {
        (self.status, self.code())
    }

    /// The state's name; asserts that it is a state.
    pub fn etat(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()["etat"].as_str().expect("a state").to_owned()
    }

    /// Status and place of a redirection.
    pub fn redirect(&self) -> (u16, String) {
        (self.status, self.header("location").unwrap_or_default().to_owned())
    }
}

/// Reads one response; interim ones are passed over.
pub fn read_response(stream: &mut impl Read, of_head: bool) -> Option<Response> {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = find(&bytes, b"\r\n\r\n") {
                break end;
            }
            read_some(stream, &mut bytes)?;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        if (100..200).contains(&status) {
            continue;
        }
        let mut response = Response { status, headers, body: Vec::new() };
        if !of_head && ![204, 304].contains(&status) {
            response.body = read_body(stream, bytes, &response)?;
        }
        return Some(response);
    }
}

fn read_body(stream: &mut impl Read, mut bytes: Vec<u8>, head: &Response) -> Option<Vec<u8>> {
    if head.header("transfer-encoding") == Some("chunked") {
        return read_chunks(stream, bytes);
    }
    match head.header("content-length") {
        Some(length) => {
            let length = length.parse().ok()?;
            while bytes.len() < length {
                read_some(stream, &mut bytes)?;
            }
            bytes.truncate(length);
        }
        None => while read_some(stream, &mut bytes).is_some() {},
    }
    Some(bytes)
}

fn read_chunks(stream: &mut impl Read, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = find(&bytes, b"\r\n") {
                break end;
            }
            read_some(stream, &mut bytes)?;
        };
        let size = std::str::from_utf8(&bytes[..end]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        bytes.drain(..end + 2);
        if size == 0 {
            return Some(body);
        }
        while bytes.len() < size + 2 {
            read_some(stream, &mut bytes)?;
        }
        body.extend(bytes.drain(..size));
        bytes.drain(..2);
    }
}

fn read_some(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Option<()> {
    let mut buffer = vec![0; 65_536];
    // A process that is stopped for a while is interrupted in what it waits for.
    let read = loop {
        match stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => break read.ok()?,
        }
    };
    bytes.extend_from_slice(&buffer[..read]);
    (read > 0).then_some(())
}

pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|part| part == needle)
}
