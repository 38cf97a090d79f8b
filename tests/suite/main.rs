//! Black-box tests: the real binary on free ports, real stores, real backends, a real browser.
//!
//! What is asserted is what is seen from outside. Time is the gateway's own, moved through its rehearsal
//! clock; whatever else takes time is polled for.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod harness;

mod actions;
mod administration;
mod audit;
mod audit_kept;
mod audit_lines;
mod audit_lost;
mod authority;
mod backend_http2;
mod backend_http2_hostile;
mod backend_tls;
mod browser;
mod caf;
mod calendar;
mod clicks;
mod demo;
mod expect;
mod explain;
mod forgotten;
mod forwarding;
mod guarded;
mod http2;
mod imports;
mod instances;
mod instances_hostile;
mod interim;
mod led;
mod limits;
mod lists;
mod mail;
mod metrics;
mod notices;
mod openapi;
mod operations;
mod operator;
mod origin;
mod pages;
mod pages_safe;
mod pages_walks;
mod pages_words;
mod parked;
mod parked_kept;
mod parked_seen;
mod passwords;
mod problems;
mod proxied;
mod reload;
mod reminders;
mod rules;
mod session;
mod sessions;
mod sign_in;
mod smoke;
mod smuggling;
mod states;
mod stores;
mod tls;
mod tunnels;
mod warning;
mod warning_limit;
mod warning_odd;
mod warning_seen;
mod wire;
