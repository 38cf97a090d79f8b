//! octroi: the gateway at the edge of the ESAT extranet.
//!
//! ESATs declare their disabled workers' pay to the Cafs. octroi stands in front of the Cafs' backends: it
//! signs people in, watches over their passwords and sessions, and forwards each admitted request to
//! the backend of the one Caf it belongs to.
//!
//! # A request's way
//!
//! ```text
//!  client ──► server ──► gate ─────────────────────────────────────────────► backend of
//!            (accept,   (provenance → framing → origin → client's rate        the session's
//!             TLS)       → session → session's rate → reception)              Caf
//!                                                      │
//!                                 ┌────────────────────┴─────────────┐
//!                                 ▼                                  ▼
//!                              portal                    entry::Gatekeeper::admit
//!                 (sign in, password, Caf,                → Admitted → escort →
//!                  establishment, leave)                  AdmittedRequest → forward
//! ```
//!
//! No step looks back. A request that was not admitted cannot reach the forwarder: it accepts an
//! [`entry::AdmittedRequest`] and nothing else, and only [`entry::Gatekeeper::admit`] starts one.
//!
//! # Floors
//!
//! Imports only go down; neighbours do not import each other, save where it is said. `tests/floors.rs` checks it.
//!
//! | floor | module | what lives there |
//! |---|---|---|
//! | 7 | [`cli`] | the commands, one file a group |
//! | 6 | [`app`] | builds the running program from a checked configuration; alone names concrete stores |
//! | 5 | [`server`] | listeners, TLS, workers, a strict look at HTTP/1.1 before hyper's, drain |
//! |   | [`admin`] | the admin API; every command is one variant that API and CLI share |
//! | 4 | [`gate`] | what a request passes, in order; the reception; tunnels; the one place where an error becomes a response |
//! | 3 | [`portal`] | the public endpoints, one action a file |
//! |   | [`forward`] | the forwarder: which instance, pools, its own HTTP/1.1 to them, TLS, retries, headers, cookies, timeouts, WebSocket handshakes, the warning in pages |
//! |   | [`store`] | Redis and embedded, under one contract suite |
//! |   | [`mail`] | letters, by SMTP or into a folder |
//! |   | [`demo`] | the demonstration Cafs and accounts |
//! | 2 | [`entry`] | who may pass (imports `account`, `establishment`, `session`, `limits`, `outbox`) |
//! |   | [`session`] | a session's life in types, its cookie, its cache (imports `account`, `establishment`, `limits`) |
//! |   | [`account`] | habilitations, signing in, passwords, lockout (imports `limits`) |
//! |   | [`parking`] | forms posted after their session ended (imports `session`, `limits`) |
//! |   | [`establishment`] | what a Caf knows of an ESAT |
//! |   | [`outbox`] | letters that wait to be sent |
//! |   | [`drains`] | what operators have taken out of service |
//! |   | [`limits`] | local rate limits, shared counters |
//! | 1 | [`config`] | file and environment in, a checked configuration out |
//! |   | [`http2`] | bodies, bytes and pings on HTTP/2's streams, for clients and backends alike |
//! | 0 | [`domain`] | pure values and rules |
//!
//! [`telemetry`] stands aside: all may call it, it imports `domain` alone.
//!
//! # The rules
//!
//! Numbers in the documentation ("rule 5") are these:
//!
//! 1. *Signing in*: identifiant and password on the home page, which carries the legal notice.
//! 2. *The password*: 8 characters at least, a letter and a digit; the first one is provisional; it lives 92 days of
//!    86,400 s, and at the last second it only opens its own change. Looked at when signing in and when entering a Caf.
//! 3. *Which Caf*: one goes straight through, several are chosen from.
//! 4. *Entry*: the ESAT is looked up by SIRET, then by the identifiant de communication it types, compared
//!    upper-cased and completed with zeros on the left to 11 characters; unknown, the way is barred.
//! 5. *Calendar*: a volet with a season is open from its first to its last day, Paris time.
//! 6. *Session*: 30 minutes without a user's action end it; what a page polls by itself is none; 12 h end it anyway.
//! 7. *Leaving*: with several Cafs, back to the choice; with one, the session ends after a confirmation.
//! 8. *Belonging*: a forwarded request belongs to one Caf and reaches no other Caf's backend.

pub mod account;
pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod demo;
pub mod domain;
pub mod drains;
pub mod entry;
pub mod establishment;
pub mod forward;
pub mod gate;
pub mod http2;
pub mod limits;
pub mod mail;
pub mod outbox;
pub mod parking;
pub mod portal;
pub mod server;
pub mod session;
pub mod store;
pub mod telemetry;
