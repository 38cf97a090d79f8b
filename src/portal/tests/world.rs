//! A portal on stores in memory, with a clock that is moved by hand.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use super::memory::{Memory, known};
use crate::account::{self, Accounts, Hasher, NewAccount, PasswordHash, Recoveries};
use crate::config::{self, Config, Pages, Rate};
use crate::domain::{Calendar, Clock, NormalPath, PasswordRules, Season, Volet};
use crate::entry::{Desk, LostPassword, Signer};
use crate::establishment::EstablishmentStore as _;
use crate::gate::Problem;
use crate::parking::Parking;
use crate::portal::{Portal, Rendering, Route, Visit};
use crate::session::{Found, Policy, Session, SessionCache, SessionCookie, Sessions, Shown};

/// When the tests begin, and the password of their accounts.
pub(crate) const NOW: &str = "2026-11-23T08:00:00Z";
pub(crate) const PASSWORD: &str = "Tilleul-2026";
pub(super) const SIRET: &str = "73282932000074";

/// A portal, and one browser's cookie.
pub(crate) struct World {
    pub(crate) portal: Portal,
    pub(crate) desk: Arc<Desk>,
    pub(crate) clock: Clock,
    hasher: Arc<Hasher>,
    cookie: Mutex<Option<String>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_pages(Pages::BuiltIn).await
    }

    pub(crate) async fn with_pages(pages: Pages) -> Self {
        let clock = Clock::frozen_at(NOW.parse().expect("an instant"));
        let store = Arc::new(Memory::default());
        let hasher = Arc::new(Hasher::new(2, 100).expect("a hasher"));
        let accounts = Arc::new(Accounts::new(
            Arc::clone(&store) as _,
            Arc::clone(&store) as _,
            Arc::clone(&hasher),
            clock.clone(),
            account_policy(),
        ));
        let hash = hasher.hash(PASSWORD.into()).await.expect("a hash");
        accounts.enrol(people(&hash)).await.expect("enrolled");
        store.put(&[known("921")]).await.expect("put");
        let cache = Arc::new(SessionCache::new(16));
        let (accounts_of, counters) = (Arc::clone(&store) as _, Arc::clone(&store) as _);
        let kept = Arc::clone(&store) as _;
        let sessions = Sessions::new(kept, accounts_of, counters, cache, clock.clone(), session_policy());
        let desk = Arc::new(Desk {
            accounts,
            sessions: Arc::new(sessions),
            establishments: Arc::clone(&store) as _,
            counters: Arc::clone(&store) as _,
            clock: clock.clone(),
        });
        let signer = Arc::new(Signer::new(Arc::clone(&store) as _, clock.clone()));
        signer.refresh().await.expect("a key");
        let config = config(pages);
        let calendar = Arc::new(Calendar::new(config.volets.clone()));
        let lost = Arc::new(LostPassword {
            recoveries: Arc::new(Recoveries::new(
                Arc::clone(&desk.accounts),
                Arc::clone(&store) as _,
                Arc::clone(&store) as _,
            )),
            sessions: Arc::clone(&desk.sessions),
            outbox: crate::store::embedded::Embedded::in_memory().expect("a store"),
            office: None,
            clock: clock.clone(),
        });
        let parking = Arc::new(Parking::new(Arc::clone(&store) as _, Arc::clone(&store) as _, clock.clone()));
        let portal = Portal::new(&config, Arc::clone(&desk), lost, parking, signer, calendar, clock.clone());
        Self { portal, desk, clock, hasher, cookie: Mutex::default() }
    }

    /// As a program would.
    pub(crate) async fn json(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))
            .expect("a request");
        self.ask(request).await
    }

    /// As a browser would.
    pub(crate) async fn form(&self, method: &str, path: &str, body: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(body.to_owned()))
            .expect("a request");
        self.ask(request).await
    }

    pub(crate) async fn sign_in(&self, identifiant: &str) -> Value {
        let body = json!({"identifiant": identifiant, "mot_de_passe": PASSWORD});
        let answer = self.json("POST", "/portail/connexion", body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// An account as it was at the beginning.
    pub(super) async fn restore(&self, identifiant: &str) {
        let hash = self.hasher.hash(PASSWORD.into()).await.expect("a hash");
        let own = people(&hash).into_iter().filter(|new| new.identifiant.as_str() == identifiant);
        self.desk.accounts.enrol(own.collect()).await.expect("enrolled");
    }

    pub(crate) async fn session(&self) -> (Option<Arc<Session>>, bool) {
        let Some(cookie) = self.cookie.lock().expect("a lock").clone() else { return (None, false) };
        let mut headers = http::HeaderMap::new();
        headers.insert("cookie", cookie.parse().expect("a header"));
        let Shown::Token(token) = SessionCookie::new(false).read(&headers) else { return (None, true) };
        match self.desk.sessions.find(&token).await.expect("a store") {
            Found::Live(session) => (Some(session), false),
            Found::Expired => (None, true),
        }
    }

    /// Through the portal and, where it refuses, the problem's response.
    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Answer {
        let path = NormalPath::parse(request.uri().path()).expect("a path");
        let Route::Action(action) = self.portal.route(&path) else { panic!("{path:?} is no action") };
        let (session, shown_dead) = self.session().await;
        let rendering = Rendering::of(request.method(), request.headers());
        let visit = Visit {
            navigates: false,
            clicked_twice: false,
            session,
            shown_dead,
            parked: None,
            agent: None,
            address: "192.0.2.1".to_owned(),
            place: "192.0.2.1".to_owned(),
            request: "id".to_owned(),
            rendering,
        };
        let response = match self.portal.answer(action, &visit, request).await {
            Ok(response) => response,
            Err(refusal) => Problem::from(refusal).respond(rendering, "req-1", &self.portal),
        };
        if let Some(cookie) = response.headers().get("set-cookie") {
            let cookie = cookie.to_str().expect("ASCII").split(';').next().map(str::to_owned);
            *self.cookie.lock().expect("a lock") = cookie.filter(|cookie| !cookie.ends_with('='));
        }
        read(response).await
    }
}

pub(crate) async fn read(response: Response<Full<Bytes>>) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    Answer { status: parts.status.as_u16(), headers: parts.headers, text }
}

/// One at a Caf, one with two Cafs, one unknown there, one whose password is provisional, one too old.
fn people(hash: &PasswordHash) -> Vec<NewAccount> {
    let person = |identifiant: &str, cafs: &[&str], changed: &str, must_change| NewAccount {
        identifiant: identifiant.parse().expect("an address"),
        siret: SIRET.parse().expect("a SIRET"),
        nom: "ESAT Les Tilleuls".to_owned(),
        cafs: cafs.iter().map(|code| code.parse().expect("a code")).collect(),
        home_caf: None,
        password_hash: Some(hash.as_str().to_owned()),
        password_changed_at: Some(changed.parse().expect("an instant")),
        must_change,
        status: None,
    };
    let fresh = "2026-11-23T07:00:00Z";
    vec![
        person("une@esat.example", &["921"], fresh, false),
        person("deux@esat.example", &["921", "751", "999"], fresh, false),
        person("inconnue@esat.example", &["751"], fresh, false),
        person("provisoire@esat.example", &["921"], fresh, true),
        person("ancien@esat.example", &["921"], "2026-08-01T08:00:00Z", false),
        person("bientot@esat.example", &["921"], "2026-08-30T08:00:00Z", false),
    ]
}

fn account_policy() -> account::Policy {
    account::Policy {
        max_age: Duration::from_hours(92 * 24),
        provisional_max_age: Duration::from_hours(30 * 24),
        rules: PasswordRules { min_length: 8 },
        strength: Arc::default(),
        history: 5,
        max_failures: 3,
        lockout: Duration::from_mins(15),
        max_failures_per_account: 50,
    }
}

fn session_policy() -> Policy {
    Policy {
        idle_timeout: Duration::from_mins(30),
        warning: Duration::from_mins(5),
        absolute_timeout: Duration::from_hours(12),
        max_per_account: 5,
    }
}

pub(crate) fn caf(code: &str, name: &str) -> config::Caf {
    let contact = format!("partenaires@caf{code}.example");
    config::Caf { contact, ..config::Caf::least(code, name, &[("127.0.0.1", 1)]) }
}

fn config(pages: Pages) -> Config {
    let rate = Rate { count: NonZeroU32::MIN, period: Duration::from_secs(1), burst: NonZeroU32::MIN };
    let second = Duration::from_secs(1);
    let policy = session_policy();
    Config {
        server: config::Server {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            public_url: None,
            trusted_proxies: Vec::new(),
            behind_tls_proxy: false,
            proxy_protocol: false,
            max_connections: 1,
            tls: None,
            workers: 1,
            drain_timeout: second,
        },
        portal: config::Portal {
            pages,
            prefix: "/portail".to_owned(),
            inject: true,
            theme: config::Theme::default(),
        },
        admin: config::Admin {
            listen: config::AdminListen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
            tokens_file: None,
            max_connections: 1,
            tls: None,
        },
        store: config::Store::Memory,
        session: config::Session {
            idle_timeout: policy.idle_timeout,
            warning: policy.warning,
            absolute_timeout: policy.absolute_timeout,
            passive_paths: Vec::new(),
            max_per_account: 5,
        },
        password: config::Password {
            max_age: Duration::from_hours(92 * 24),
            provisional_max_age: Duration::from_hours(30 * 24),
            min_length: 8,
            history: 5,
            min_strength: 1,
            breached_file: None,
        },
        login: config::Login {
            max_failures: 3,
            lockout: Duration::from_mins(15),
            max_failures_per_account: 50,
        },
        limits: config::Limits {
            per_client: rate,
            per_session: rate,
            login_per_client: rate,
            body: 1 << 20,
            tunnels_per_session: 8,
        },
        backend: config::Backend::patient(),
        audit: config::Audit { path: None, max_size: 1, on_failure: config::AuditFailure::Refuse },
        log: config::Log { level: "info".to_owned(), format: config::LogFormat::Auto },
        mail: None,
        rehearsal: None,
        volets: volets(),
        cafs: vec![caf("921", "Caf des Hauts-de-Seine"), caf("751", "Caf de Paris")],
    }
}

fn volets() -> Vec<Volet> {
    let volet = |name: &str, season| Volet {
        name: name.to_owned(),
        paths: vec![format!("/teleprocedure/{name}")],
        season,
    };
    let day = |text: &str| text.parse().expect("a day");
    let campaign = Season { opens: day("12-01"), closes: day("02-end") };
    vec![volet("certificat-emploi", Some(campaign)), volet("changement-activite", None)]
}
