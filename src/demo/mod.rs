//! The embedded default: three demonstration Cafs with a backend each, and an account for each way through.
//!
//! Loopback only, nothing installed, nothing kept: what it makes is gone with the process.

mod backend;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;

use crate::account::{EnrolError, HashError, Hasher, NewAccount};
use crate::domain::{CafCode, Clock, Identifiant, IdentifiantCommunication, Siret, StoreError};
use crate::entry::Registry;
use crate::establishment::Establishment;

pub use backend::DemoBackends;

/// The demonstration could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The system refuses a socket.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
    /// An account could not be made.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// A password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A value written in this module is wrong.
    #[error("a demonstration value is wrong: {0}")]
    Value(String),
}

/// A demonstration Caf.
struct DemoCaf {
    code: &'static str,
    name: &'static str,
}

const CAFS: [DemoCaf; 3] = [
    DemoCaf { code: "921", name: "Caf des Hauts-de-Seine" },
    DemoCaf { code: "751", name: "Caf de Paris" },
    DemoCaf { code: "131", name: "Caf des Bouches-du-Rhône" },
];

/// A demonstration account, and what it shows.
struct DemoAccount {
    identifiant: &'static str,
    password: &'static str,
    siret: &'static str,
    cafs: &'static [&'static str],
    provisional: bool,
    password_age_days: i64,
    shows: &'static str,
}

const TILLEULS: &str = "73282932000074";
const ERABLES: &str = "35600000049837";
/// What Caf 921 calls the ESAT that it knows under no SIRET.
const COMMUNICATION: &str = "12345678";

const ACCOUNTS: [DemoAccount; 5] = [
    DemoAccount {
        identifiant: "une.caf@esat.example",
        password: "Tilleul-2026",
        siret: TILLEULS,
        cafs: &["921"],
        provisional: false,
        password_age_days: 10,
        shows: "one Caf: straight through to Caf 921",
    },
    DemoAccount {
        identifiant: "plusieurs.cafs@esat.example",
        password: "Platane-2026",
        siret: TILLEULS,
        cafs: &["921", "751", "131"],
        provisional: false,
        password_age_days: 80,
        shows: "several Cafs: choose one; Quitter leads back to the choice",
    },
    DemoAccount {
        identifiant: "siret.inconnu@esat.example",
        password: "Bouleau-2026",
        siret: ERABLES,
        cafs: &["921"],
        provisional: false,
        password_age_days: 10,
        shows: "SIRET unknown at the Caf: type the identifiant de communication 12345678",
    },
    DemoAccount {
        identifiant: "provisoire@esat.example",
        password: "Provisoire-1",
        siret: TILLEULS,
        cafs: &["751"],
        provisional: true,
        password_age_days: 0,
        shows: "provisional password: it must be changed first",
    },
    DemoAccount {
        identifiant: "perime@esat.example",
        password: "Ancienne-2026",
        siret: TILLEULS,
        cafs: &["131"],
        provisional: false,
        password_age_days: 93,
        shows: "password past 92 days: it must be changed first",
    },
];

/// The configuration of the embedded default, with the backends' addresses filled in.
pub fn configuration(backends: &[SocketAddr]) -> String {
    use std::fmt::Write as _;
    let mut text = String::from(include_str!("octroi.toml"));
    let letters = letters();
    let _ =
        write!(text, "\n[mail]\nurl = \"file:{}\"\nfrom = \"octroi@extranet.example\"\n", letters.display());
    for (caf, address) in CAFS.iter().zip(backends) {
        let DemoCaf { code, name } = caf;
        let _ = write!(
            text,
            "\n[[caf]]\ncode = \"{code}\"\nname = \"{name}\"\ncontact = \"partenaires@caf{code}.example\"\n\
             backends = [\"http://{address}\"]\n"
        );
    }
    text
}

/// The folder that letters are written into, instead of being sent.
pub fn letters() -> PathBuf {
    std::env::temp_dir().join("octroi-demonstration-letters")
}

/// Makes the demonstration accounts, and what the Cafs know.
pub async fn fill(registry: &Registry, hasher: &Hasher, clock: &Clock) -> Result<(), DemoError> {
    let mut accounts = Vec::new();
    for account in &ACCOUNTS {
        accounts.push(account.enrolment(hasher, clock).await?);
    }
    registry.accounts.enrol(accounts).await?;
    registry.establishments.put(&known()?).await?;
    Ok(())
}

impl DemoAccount {
    async fn enrolment(&self, hasher: &Hasher, clock: &Clock) -> Result<NewAccount, DemoError> {
        let hash = hasher.hash(SecretString::from(self.password)).await?;
        let age = jiff::SignedDuration::from_hours(24 * self.password_age_days);
        let codes: Result<Vec<CafCode>, _> = self.cafs.iter().map(|code| value(code)).collect();
        let cafs = codes?;
        Ok(NewAccount {
            identifiant: value::<Identifiant>(self.identifiant)?,
            siret: value::<Siret>(self.siret)?,
            nom: "ESAT de démonstration".to_owned(),
            home_caf: cafs.first().copied(),
            cafs,
            password_hash: Some(hash.as_str().to_owned()),
            password_changed_at: Some(clock.now().saturating_sub(age).unwrap_or_else(|_| clock.now())),
            must_change: self.provisional,
            status: None,
        })
    }
}

fn known() -> Result<Vec<Establishment>, DemoError> {
    let mut known = Vec::new();
    for caf in &CAFS {
        known.push(Establishment {
            caf: value(caf.code)?,
            siret: Some(value(TILLEULS)?),
            identifiant_communication: None,
            nom: "ESAT Les Tilleuls".to_owned(),
        });
    }
    known.push(Establishment {
        caf: value(CAFS[0].code)?,
        siret: None,
        identifiant_communication: Some(value::<IdentifiantCommunication>(COMMUNICATION)?),
        nom: "ESAT Les Érables".to_owned(),
    });
    Ok(known)
}

fn value<T: std::str::FromStr>(text: &str) -> Result<T, DemoError> {
    text.parse().map_err(|_| DemoError::Value(text.to_owned()))
}

/// Says what there is to try.
pub fn announce(out: &mut impl Write, public: &str, admin: &str) -> io::Result<()> {
    writeln!(out, "octroi, embedded default: nothing here outlives this process.\n")?;
    writeln!(out, "  portal   {public}/   (open it in a browser)")?;
    writeln!(out, "  admin    {admin}   (octroi account list)\n")?;
    writeln!(out, "  {:<30} {:<15} what it shows", "identifiant", "password")?;
    for account in &ACCOUNTS {
        writeln!(out, "  {:<30} {:<15} {}", account.identifiant, account.password, account.shows)?;
    }
    writeln!(out, "\nCtrl-C stops it.")
}
