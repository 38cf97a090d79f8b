//! What is counted, for Prometheus: base units, no account, address or path in a label.
//!
//! A request costs a few additions to its worker's own cells; those of all workers are added up when somebody
//! looks. What happens seldom is counted in families shared by all.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::audit;
use crate::domain::CafCode;

/// Upper bounds of the durations' buckets, in microseconds.
const BOUNDS_US: [u64; 12] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 30_000_000];
/// The states of the contract.
const STATES: [&str; 5] =
    ["anonyme", "mot_de_passe_a_changer", "caf_a_choisir", "etablissement_a_identifier", "admis"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

type ByClass = [AtomicU64; CLASSES.len()];

/// The cells of one worker.
#[derive(Debug)]
pub struct Counts {
    /// By state, for requests at no Caf.
    states: [ByClass; STATES.len()],
    /// By Caf, sorted by code.
    cafs: Vec<(CafCode, ByClass)>,
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

static WORKERS: Mutex<Vec<Arc<Counts>>> = Mutex::new(Vec::new());
static SELDOM: LazyLock<Seldom> = LazyLock::new(Seldom::default);

#[derive(Default)]
struct Seldom {
    problems: Family<[(&'static str, &'static str); 1], Counter>,
    sign_ins: Family<[(&'static str, &'static str); 1], Counter>,
    backend_errors: Family<BackendError, Counter>,
    connections: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BackendError {
    caf: String,
    reason: &'static str,
}

#[derive(Debug, EncodeLabelSet)]
struct Answered {
    etat: &'static str,
    caf: String,
    status: &'static str,
}

/// A worker's cells, counted from now on.
pub fn worker(mut cafs: Vec<CafCode>) -> Arc<Counts> {
    cafs.sort_unstable();
    let counts = Arc::new(Counts {
        states: Default::default(),
        cafs: cafs.into_iter().map(|caf| (caf, ByClass::default())).collect(),
        buckets: Default::default(),
        sum_us: AtomicU64::new(0),
    });
    WORKERS.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counts));
    counts
}

/// A problem was answered.
pub fn problem(code: &'static str) {
    SELDOM.problems.get_or_create(&[("code", code)]).inc();
}

/// Somebody tried to sign in; `outcome` is `ok`, `refused`, `locked` or `failed`.
pub fn sign_in(outcome: &'static str) {
    SELDOM.sign_ins.get_or_create(&[("outcome", outcome)]).inc();
}

/// A Caf's backend did not answer as it should.
pub fn backend_error(caf: CafCode, reason: &'static str) {
    SELDOM.backend_errors.get_or_create(&BackendError { caf: caf.to_string(), reason }).inc();
}

/// One instance of a Caf's backend, as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Instance {
    /// The Caf.
    pub caf: CafCode,
    /// Its number, from 1, in the configuration's order: no address is told.
    pub number: usize,
    /// Whether it gets requests.
    pub is_up: bool,
    /// Requests under way.
    pub requests: usize,
    /// Requests that wait for room.
    pub waiting: usize,
    /// How often it was left alone.
    pub ejections: u64,
}

/// What the forwarder knows of the Cafs' backends.
#[derive(Debug, Clone, Default)]
pub struct Backends {
    /// All instances.
    pub instances: Vec<Instance>,
    /// By Caf, the requests that were sent a second time.
    pub retries: Vec<(CafCode, u64)>,
}

impl Backends {
    fn register(self, registry: &mut Registry) {
        type Of = [(&'static str, String); 2];
        let of = |one: &Instance| [("caf", one.caf.to_string()), ("instance", one.number.to_string())];
        let gauge = |value: fn(&Instance) -> i64| {
            let family: Family<Of, Gauge> = Family::default();
            for one in &self.instances {
                family.get_or_create(&of(one)).set(value(one));
            }
            family
        };
        let up = "1 while an instance of a Caf's backend gets requests, else 0";
        registry.register("backend_up", up, gauge(|one| i64::from(one.is_up)));
        let requests = "Requests under way at an instance";
        registry.register("backend_requests", requests, gauge(|one| clamped(one.requests)));
        let waiting = "Requests that wait for room at an instance";
        registry.register("backend_waiting", waiting, gauge(|one| clamped(one.waiting)));
        let ejections: Family<Of, Counter> = Family::default();
        for one in &self.instances {
            ejections.get_or_create(&of(one)).inc_by(one.ejections);
        }
        registry.register("backend_ejections", "How often an instance was left alone", ejections);
        let retries: Family<[(&'static str, String); 1], Counter> = Family::default();
        for (caf, count) in &self.retries {
            retries.get_or_create(&[("caf", caf.to_string())]).inc_by(*count);
        }
        registry.register("backend_retries", "Requests that were sent a second time", retries);
    }
}

fn clamped(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A client's connection; open for as long as this lives.
#[derive(Debug)]
pub struct OpenConnection(());

impl OpenConnection {
    /// One more.
    pub fn new() -> Self {
        SELDOM.connections.inc();
        Self(())
    }
}

impl Default for OpenConnection {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        SELDOM.connections.dec();
    }
}

impl Counts {
    /// A request was answered.
    pub fn answered(&self, etat: &'static str, caf: Option<CafCode>, status: u16, time: Duration) {
        let by_caf = caf.and_then(|caf| self.cafs.binary_search_by_key(&caf, |(code, _)| *code).ok());
        let cells = match by_caf.and_then(|place| self.cafs.get(place)) {
            Some((_, cells)) if etat == "admis" => cells,
            _ => &self.states[STATES.iter().position(|state| *state == etat).unwrap_or(0)],
        };
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        cells[class].fetch_add(1, Ordering::Relaxed);
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.iter().position(|bound| time <= *bound).unwrap_or(BOUNDS_US.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(time, Ordering::Relaxed);
    }
}

/// All that was counted, in the text format of `OpenMetrics` 1.0; the rest is what is known now.
pub fn text(store_reachable: bool, backends: Backends) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("octroi");
    registry.register_collector(Box::new(Requests));
    let seldom = &*SELDOM;
    registry.register("problems", "Problems answered, by code", seldom.problems.clone());
    registry.register("sign_ins", "Attempts to sign in, by outcome", seldom.sign_ins.clone());
    let failures = "Requests that a Caf's backend did not answer as it should";
    registry.register("backend_errors", failures, seldom.backend_errors.clone());
    backends.register(&mut registry);
    registry.register("connections", "Open connections of clients", seldom.connections.clone());
    let reachable: Gauge = Gauge::default();
    reachable.set(i64::from(store_reachable));
    registry.register("store_reachable", "1 while the store is in reach, else 0", reachable);
    if let Some(figures) = audit::log().figures() {
        let (lost, failing) = (Counter::<u64>::default(), Gauge::<i64>::default());
        lost.inc_by(figures.lost);
        failing.set(figures.is_failing.into());
        registry.register("audit_lines_lost", "Lines of the audit log that were lost", lost);
        registry.register("audit_failing", "1 while the audit log cannot be written, else 0", failing);
    }
    let version: Family<[(&'static str, &'static str); 1], Gauge> = Family::default();
    version.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
    registry.register("build", "1, with the program's version", version);
    let mut out = String::new();
    prometheus_client::encoding::text::encode(&mut out, &registry)?;
    Ok(out)
}

/// Adds up the workers' cells.
#[derive(Debug)]
struct Requests;

impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let workers = WORKERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        encode_requests(&workers, &mut encoder)?;
        let sum = |cell: &dyn Fn(&Counts) -> &AtomicU64| -> u64 {
            workers.iter().map(|worker| cell(worker).load(Ordering::Relaxed)).sum()
        };
        let seconds = |us: u64| Duration::from_micros(us).as_secs_f64();
        let mut buckets: Vec<(f64, u64)> = Vec::with_capacity(BOUNDS_US.len() + 1);
        for (place, bound) in BOUNDS_US.iter().copied().map(seconds).chain([f64::INFINITY]).enumerate() {
            buckets.push((bound, sum(&|worker| &worker.buckets[place])));
        }
        let count = buckets.iter().map(|(_, count)| count).sum();
        let help = "Time from a request's head to its answer's";
        let mut metric = encoder.encode_descriptor(
            "request_duration",
            help,
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        let total = seconds(sum(&|worker| &worker.sum_us));
        metric.encode_histogram::<[(&str, &str); 0]>(total, count, &buckets, None)
    }
}

fn encode_requests(workers: &[Arc<Counts>], encoder: &mut DescriptorEncoder) -> fmt::Result {
    let help = "Requests answered, by the session's state, its Caf and the class of the status";
    let mut metric = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
    let mut tell = |etat, caf: &str, cells: &dyn Fn(&Counts) -> Option<&ByClass>| -> fmt::Result {
        for (class, status) in CLASSES.into_iter().enumerate() {
            let cells = workers.iter().filter_map(|worker| cells(worker));
            let count: u64 = cells.map(|cells| cells[class].load(Ordering::Relaxed)).sum();
            if count > 0 {
                let labels = Answered { etat, caf: caf.to_owned(), status };
                let mut one = metric.encode_family(&labels)?;
                one.encode_counter::<[(&str, &str); 0], u64, f64>(&count, None)?;
            }
        }
        Ok(())
    };
    for (place, etat) in STATES.into_iter().enumerate() {
        tell(etat, "", &|worker| worker.states.get(place))?;
    }
    let cafs = workers.first().map(|worker| &*worker.cafs).unwrap_or_default();
    for (place, (caf, _)) in cafs.iter().enumerate() {
        tell("admis", caf.as_str(), &|worker| worker.cafs.get(place).map(|(_, cells)| cells))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_added_up_and_nothing_is_lost() {
        let caf = "921".parse().expect("a code");
        let workers = [worker(vec![caf]), worker(vec![caf])];
        for (worker, time) in workers.iter().zip([400, 60_000_000]) {
            worker.answered("admis", Some(caf), 200, Duration::from_micros(time));
            worker.answered("anonyme", None, 401, Duration::from_millis(3));
            worker.answered("caf_a_choisir", None, 999, Duration::ZERO);
        }
        backend_error(caf, "connect");
        let told = text(true, Backends::default()).expect("a text");
        for line in [
            "octroi_requests_total{etat=\"admis\",caf=\"921\",status=\"2xx\"} 2",
            "octroi_requests_total{etat=\"anonyme\",caf=\"\",status=\"4xx\"} 2",
            "octroi_requests_total{etat=\"caf_a_choisir\",caf=\"\",status=\"5xx\"} 2",
            "octroi_request_duration_seconds_bucket{le=\"0.0005\"} 3",
            "octroi_request_duration_seconds_bucket{le=\"0.005\"} 5",
            "octroi_request_duration_seconds_bucket{le=\"+Inf\"} 6",
            "octroi_request_duration_seconds_count 6",
            "octroi_backend_errors_total{caf=\"921\",reason=\"connect\"} 1",
            "octroi_store_reachable 1",
            "# EOF",
        ] {
            assert!(told.lines().any(|told| told == line), "{line} in {told}");
        }
    }
}
