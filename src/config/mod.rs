//! The configuration: a TOML file and the environment go in, a [`Config`] whose every value is right comes out.
//!
//! Each section has a file with its struct, the declaration of its keys and its own checks. The
//! declaration alone says what a key is called, what it may be and what it is by default: the
//! reader reads by it, [`schema()`] tells it, and the example in `config/octroi.toml` is tested against it.
//! Reading never stops at an error: an operator is told all that is wrong at once.

mod admin;
mod audit;
mod backend;
mod caf;
mod declare;
mod instance;
mod keys;
mod limits;
mod log;
mod login;
mod mail;
mod password;
mod pem;
mod portal;
mod problem;
mod reader;
mod rehearsal;
mod schema;
mod server;
mod session;
mod source;
mod store;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod theme;
mod url;
mod value;
mod volet;
mod words;

use std::path::Path;

use toml::de::DeTable;

pub use admin::{Admin, AdminListen, AdminTls};
pub use audit::{Audit, AuditFailure};
pub use backend::{Backend, Times};
pub use caf::{BackendAddress, Caf};
pub use instance::{BackendTls, Check, Overrides, Pin, Protocol};
pub use limits::{Limits, Rate};
pub use log::{Log, LogFormat};
pub use login::Login;
pub use mail::{Mail, MailCarrier};
pub use password::Password;
pub use portal::{Pages, Portal};
pub use problem::{Errors, Problem};
pub use rehearsal::Rehearsal;
pub use schema::schema;
pub use server::{Server, Tls};
pub use session::Session;
pub use store::Store;
pub(crate) use suggest::closest;
pub use theme::{Color, Logo, Theme};
pub use url::Origin;

use crate::domain::{CafCode, Volet};
use problem::Place;
use reader::Reader;

/// A configuration that was checked as a whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// The public listeners.
    pub server: Server,
    /// The pages and endpoints under the portal's prefix.
    pub portal: Portal,
    /// The operator's listener.
    pub admin: Admin,
    /// Where what must outlive the process is kept.
    pub store: Store,
    /// How long a session lives.
    pub session: Session,
    /// What a password must be.
    pub password: Password,
    /// How many wrong guesses are borne.
    pub login: Login,
    /// How much one client may ask.
    pub limits: Limits,
    /// How long a backend may take, and how much it is given.
    pub backend: Backend,
    /// How messages leave, if any does.
    pub mail: Option<Mail>,
    /// Where decisions are written down.
    pub audit: Audit,
    /// What is logged, and how.
    pub log: Log,
    /// Another time than the present one to live at.
    pub rehearsal: Option<Rehearsal>,
    /// The volets of the téléprocédure, in the file's order.
    pub volets: Vec<Volet>,
    /// The Cafs, in the file's order; at least one.
    pub cafs: Vec<Caf>,
}

/// A configuration, and what is odd about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed but probably not meant; to be logged at start.
    pub warnings: Vec<Problem>,
}

/// The process' environment, for [`Config::load`]. What is not Unicode is passed on with `�`.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

impl Config {
    /// Reads the file at `path`, with `OCTROI_SECTION__KEY` variables of `environment` before it.
    pub fn load(path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Loaded, Errors> {
        let name = path.to_string_lossy();
        match source::read(path) {
            Ok(text) => Self::parse(&text, &name, environment),
            Err(reason) => Err(Errors(vec![unreadable(&name, &reason)])),
        }
    }

    /// Reads `text`, which problems call `file`. Files that the text names are read too.
    pub fn parse(
        text: &str,
        file: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Loaded, Errors> {
        if text.len() > source::LARGEST {
            return Err(Errors(vec![unreadable(file, &source::too_large())]));
        }
        let (tree, errors) = DeTable::parse_recoverable(text);
        let mut reader = Reader::new(file, text, tree.get_ref());
        for name in keys::take_variables(&mut reader, environment) {
            reader.wrong(Place::Variable(name.clone()), "", keys::unknown_variable(&name));
        }
        keys::check(&reader);
        let config = Self::read(&reader);
        let syntax = syntax::problems(&reader, errors);
        let (problems, mut warnings) = reader.finish();
        let mut problems = syntax::spared(&syntax, problems);
        problems.extend(syntax);
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        warnings.sort_by(|a, b| a.place.cmp(&b.place));
        config
            .filter(|_| problems.is_empty())
            .map(|config| Loaded { config, warnings })
            .ok_or(Errors(problems))
    }

    fn read(reader: &Reader<'_>) -> Option<Self> {
        let server = Server::read(reader);
        let admin = Admin::read(reader, server.as_ref());
        let rehearsal = Rehearsal::read(reader, server.as_ref());
        let (portal, store, mail) = (Portal::read(reader), Store::read(reader), Mail::read(reader));
        let (session, password, login) = (Session::read(reader), Password::read(reader), Login::read(reader));
        let (limits, backend, log) = (Limits::read(reader), Backend::read(reader), Log::read(reader));
        let audit = Audit::read(reader);
        let volets = volet::read(reader, portal.as_ref());
        let cafs = caf::read(reader, server.as_ref(), admin.as_ref(), backend.as_ref());
        Some(Self {
            server: server?,
            portal: portal?,
            admin: admin?,
            store: store?,
            session: session?,
            password: password?,
            login: login?,
            limits: limits?,
            backend: backend?,
            mail,
            audit: audit?,
            log: log?,
            rehearsal,
            volets: volets?,
            cafs: cafs?,
        })
    }

    /// The Caf of that code.
    pub fn caf(&self, code: CafCode) -> Option<&Caf> {
        self.cafs.iter().find(|caf| caf.code == code)
    }
}

fn unreadable(file: &str, reason: &str) -> Problem {
    Problem { place: Place::File(file.into()), key: String::new(), said: reason.to_owned(), certain: true }
}
