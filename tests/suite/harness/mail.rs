//! A mail server on a real socket: takes letters, refuses them, hangs, goes away and comes back; with STARTTLS, with
//! TLS from the start, or in the clear.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::eventually;

/// What the server does with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Takes,
    /// Refuses the addressee with this reply.
    Refuses(&'static str),
    /// Never says what became of the letter.
    Hangs,
}

/// How the connection is encrypted.
#[derive(Clone)]
pub enum Security {
    None,
    StartTls(Arc<ServerConfig>),
    Implicit(Arc<ServerConfig>),
}

/// A letter that the server took.
#[derive(Debug, Clone)]
pub struct Mail {
    pub to: String,
    /// Headers and body, as text: soft line breaks and escapes of quoted-printable undone.
    pub text: String,
    pub encrypted: bool,
}

impl Mail {
    /// The token of the link in it.
    pub fn token(&self) -> String {
        let (_, rest) = self.text.split_once("/mot-de-passe/reinitialisation?jeton=").expect("a link");
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
    }
}

pub struct MailServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    mood: Mutex<Mood>,
    security: Security,
    letters: Mutex<Vec<Mail>>,
    said: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl MailServer {
    pub fn start() -> Self {
        Self::start_with(Security::None)
    }

    pub fn start_with(security: Security) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), security, Mood::Takes)
    }

    pub fn start_at(address: SocketAddr, security: Security, mood: Mood) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            mood: Mutex::new(mood),
            security,
            letters: Mutex::default(),
            said: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if served.over.load(Ordering::Relaxed) {
                    return;
                }
                let (shared, stream) = (Arc::clone(&served), stream.unwrap());
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self { address, shared }
    }

    pub fn mood(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// The letters that it took so far.
    pub fn letters(&self) -> Vec<Mail> {
        self.shared.letters.lock().unwrap().clone()
    }

    /// Waits for so many letters.
    pub fn wait_for(&self, count: usize) -> Vec<Mail> {
        eventually(&format!("{count} letters arrive"), || self.letters().len() >= count);
        self.letters()
    }

    /// How often it was told a line that begins so.
    pub fn heard(&self, start: &str) -> usize {
        self.shared.said.lock().unwrap().iter().filter(|line| line.starts_with(start)).count()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// One side of a conversation, encrypted or not.
trait Line: Read + Write {}
impl<L: Read + Write> Line for L {}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        match &self.security {
            Security::Implicit(config) => self.talk(Box::new(encrypted(stream, config)?), true, None),
            Security::None => self.talk(Box::new(stream), false, None),
            Security::StartTls(config) => {
                self.talk(Box::new(stream.try_clone()?), false, Some((stream, config)))
            }
        }
    }

    fn talk(
        &self,
        line: Box<dyn Line>,
        encrypted_already: bool,
        upgrade: Option<(TcpStream, &Arc<ServerConfig>)>,
    ) -> io::Result<()> {
        let mut line = BufReader::new(line);
        if !encrypted_already || upgrade.is_none() {
            say(&mut line, "220 test")?;
        }
        self.commands(&mut line, encrypted_already, upgrade)
    }

    fn commands(
        &self,
        line: &mut BufReader<Box<dyn Line>>,
        encrypted_already: bool,
        upgrade: Option<(TcpStream, &Arc<ServerConfig>)>,
    ) -> io::Result<()> {
        let mut to = String::new();
        while let Some(command) = read_line(line)? {
            self.said.lock().unwrap().push(command.clone());
            let word = command.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            match word.as_str() {
                "EHLO" if upgrade.is_some() => say(line, "250-test\r\n250 STARTTLS")?,
                "EHLO" if encrypted_already => say(line, "250-test\r\n250 AUTH PLAIN")?,
                "STARTTLS" if upgrade.is_some() => {
                    say(line, "220 go")?;
                    let Some((stream, config)) = upgrade else { return Ok(()) };
                    let inner: Box<dyn Line> = Box::new(encrypted(stream, config)?);
                    return self.commands(&mut BufReader::new(inner), true, None);
                }
                "AUTH" => say(line, "235 welcome")?,
                "RCPT" => {
                    let mood = *self.mood.lock().unwrap();
                    let refusal = if let Mood::Refuses(reply) = mood { Some(reply) } else { None };
                    command.split(['<', '>']).nth(1).unwrap_or_default().clone_into(&mut to);
                    say(line, refusal.unwrap_or("250 fine"))?;
                }
                "DATA" => {
                    say(line, "354 go on")?;
                    let text = read_letter(line)?;
                    if *self.mood.lock().unwrap() == Mood::Hangs {
                        // Until the other side gives up, or is killed.
                        let _ = line.read(&mut [0]);
                        return Ok(());
                    }
                    let mail = Mail { to: to.clone(), text, encrypted: encrypted_already };
                    self.letters.lock().unwrap().push(mail);
                    say(line, "250 kept")?;
                }
                "QUIT" => return say(line, "221 bye"),
                _ => say(line, "250 fine")?,
            }
        }
        Ok(())
    }
}

fn encrypted(stream: TcpStream, config: &Arc<ServerConfig>) -> io::Result<impl Line + use<>> {
    let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}

fn say(line: &mut BufReader<Box<dyn Line>>, words: &str) -> io::Result<()> {
    line.get_mut().write_all(format!("{words}\r\n").as_bytes())?;
    line.get_mut().flush()
}

fn read_line(line: &mut BufReader<Box<dyn Line>>) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if line.read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).trim_end().to_owned()))
}

fn read_letter(line: &mut BufReader<Box<dyn Line>>) -> io::Result<String> {
    let mut lines = Vec::new();
    while let Some(text) = read_line(line)? {
        if text == "." {
            return Ok(unquoted(&(lines.join("\r\n") + "\r\n")));
        }
        lines.push(text);
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Quoted-printable undone (RFC 2045 section 6.7).
fn unquoted(text: &str) -> String {
    let joined = text.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped =
            (first == b'=' && after.len() >= 2).then(|| std::str::from_utf8(&after[..2]).ok()).flatten();
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
