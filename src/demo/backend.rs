//! A small declaration backend for each demonstration Caf: it shows what the gateway told it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio::net::TcpListener;

use super::CAFS;

/// The listening backends, in the order of the Cafs.
pub struct DemoBackends {
    listeners: Vec<TcpListener>,
}

impl DemoBackends {
    /// Listens on a free loopback port for each Caf.
    pub async fn bind() -> io::Result<Self> {
        let mut listeners = Vec::new();
        for _ in &CAFS {
            listeners.push(TcpListener::bind(("127.0.0.1", 0)).await?);
        }
        Ok(Self { listeners })
    }

    /// Where they listen.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// Serves on the current runtime until it ends.
    pub fn serve(self) {
        for (listener, caf) in self.listeners.into_iter().zip(&CAFS) {
            let router = Router::new().fallback(get(show).post(declare)).with_state(Arc::from(caf.name));
            tokio::spawn(async move {
                if let Err(error) = axum::serve(listener, router).await {
                    tracing::error!(%error, "a demonstration backend failed");
                }
            });
        }
    }
}

/// What the page shows.
#[derive(Template)]
#[template(config = ".askama.toml", path = "demo.html")]
struct Page<'a> {
    caf: &'a str,
    path: &'a str,
    compte: &'a str,
    siret: &'a str,
    communication: &'a str,
    volets: &'a str,
    declared: Option<Declaration>,
}

/// What its form posts.
#[derive(Deserialize)]
struct Declaration {
    salarie: String,
    remuneration: String,
}

type Caf = State<Arc<str>>;

async fn show(State(caf): Caf, uri: axum::http::Uri, headers: HeaderMap) -> Response {
    page(&caf, uri.path(), &headers, None)
}

async fn declare(
    State(caf): Caf,
    uri: axum::http::Uri,
    headers: HeaderMap,
    Form(declaration): Form<Declaration>,
) -> Response {
    page(&caf, uri.path(), &headers, Some(declaration))
}

fn page(caf: &str, path: &str, headers: &HeaderMap, declared: Option<Declaration>) -> Response {
    let told = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let page = Page {
        caf,
        path,
        compte: told("x-esat-compte"),
        siret: told("x-esat-siret"),
        communication: told("x-esat-identifiant-communication"),
        volets: told("x-octroi-volets"),
        declared,
    };
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
