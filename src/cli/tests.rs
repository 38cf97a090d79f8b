//! Commands against a real listener, and the command line's own grammar.

use axum::body::Body;
use clap::{CommandFactory as _, Parser as _};
use http::StatusCode;
use tokio::sync::oneshot;

use super::Cli;
use super::ask::Gateway;
use super::client::Endpoint;
use super::credentials::Credentials;
use crate::admin::{self, AccountView, Command, Format, Import, Listener, fakes};
use crate::config::AdminListen;

const ONE: &str = r#"{"identifiant":"a@esat.example","siret":"73282932000074","cafs":["921"]}"#;

fn gateway(admin: &str, json: bool) -> Gateway {
    Gateway { admin: admin.parse().expect("an endpoint"), json, credentials: Credentials::default() }
}

/// What a command exits with (as `Debug` tells it), prints, and complains of.
async fn shown(gateway: &Gateway, command: Command) -> (String, String, String) {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let (status, body) = gateway.call(command).await.expect("an answer");
    let show = |value: &serde_json::Value, out: &mut dyn std::io::Write| {
        writeln!(out, "shown {}", value.is_object())
    };
    let code = gateway.report(status, &body, show, &mut out, &mut errors).expect("a report");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (format!("{code:?}"), text(out), text(errors))
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn what_the_command_line_takes() {
    let parse =
        |line: &str| Cli::try_parse_from(line.split(' ')).map(drop).map_err(|error| error.exit_code());
    for line in [
        "octroi",
        "octroi run --config f",
        "octroi check --config f",
        "octroi account list --caf 921 --status suspended --json",
        "octroi --version",
        "octroi account create --identifiant a@b.fr --siret 73282932000074 --caf 921 --caf 751 --home-caf 921",
        "octroi account import - --dry-run --admin unix:/run/octroi/admin.sock",
        "octroi establishment --admin http://[::1]:9901 list",
        "octroi clock set 2026-12-01T00:00:00+01:00",
        "octroi account import accounts.csv --format csv --suspend-gone",
        "octroi account export --format csv --output f",
        "octroi establishment import - --delete-gone --dry-run",
        "octroi establishment export -o f",
        "octroi completions fish",
    ] {
        assert!(matches!(parse(line), Ok(()) | Err(0)), "{line}");
    }
    for line in [
        "octroi nothing",
        "octroi run",
        "octroi account",
        "octroi account show nobody",
        "octroi account create --identifiant a@b.fr --siret 73282932000074",
        "octroi account create --identifiant a@b.fr --siret 73282932000075 --caf 921",
        "octroi account create --identifiant a@b.fr --siret 73282932000074 --caf 921 --password x",
        "octroi account list --admin ftp://x",
        "octroi clock set tomorrow",
        "octroi account import f --delete-gone",
        "octroi account export --format xlsx",
        "octroi establishment import f --suspend-gone",
        "octroi audit verify",
    ] {
        assert_eq!(parse(line), Err(2), "{line}");
    }
}

#[test]
fn endpoints() {
    let parse = |text: &str| text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()).ok();
    for text in [
        "http://127.0.0.1:9901",
        "http://[::1]:9901",
        "http://gateway",
        "https://gateway:9901",
        "unix:/run/a b.sock",
    ] {
        assert_eq!(parse(text).as_deref(), Some(text));
    }
    assert_eq!(parse("http://localhost:1/").as_deref(), Some("http://localhost:1"));
    for text in [
        "",
        "127.0.0.1:9901",
        "https://",
        "ftp://a",
        "https://a/b",
        "http://a/b",
        "http://a?b",
        "http://u:p@a",
        "unix:relative",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[tokio::test]
async fn a_gateway_is_asked_over_tcp_and_over_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("admin.sock");
    let places =
        [AdminListen::Tcp("127.0.0.1:0".parse().expect("an address")), AdminListen::Unix(socket.clone())];
    for place in places {
        let listener = Listener::bind(&place).await.expect("a listener");
        let address = listener.address();
        let url = if address.starts_with("unix:") { address } else { format!("http://{address}") };
        let (stop, stopped) = oneshot::channel::<()>();
        let router = admin::router(fakes::state().0);
        let reception = admin::Reception { tls: None, max_connections: 8 };
        let serving = tokio::spawn(admin::serve(listener, router, reception, async { drop(stopped.await) }));

        let people = gateway(&url, false);
        let import = |text: &str| {
            Command::ImportAccounts(Import {
                rows: Body::from(text.to_owned()),
                format: Format::Guess,
                dry_run: false,
                gone: false,
                progress: false,
            })
        };
        let success = format!("{:?}", std::process::ExitCode::SUCCESS);
        let (code, out, errors) = shown(&people, import(ONE)).await;
        assert_eq!((code, out.as_str(), errors.as_str()), (success.clone(), "shown true\n", ""));

        let (code, out, errors) = shown(&people, import(&format!("{ONE}\nx"))).await;
        assert_ne!(code, success);
        assert!(out.is_empty());
        assert!(
            errors.starts_with(
                "octroi: 1 row is wrong; nothing was imported\n  line 2: this is not an object in JSON"
            ),
            "{errors}"
        );

        let name: crate::domain::Identifiant = "a@esat.example".parse().expect("a name");
        let json = gateway(&url, true);
        let (_, out, _) = shown(&json, Command::ShowAccount(name.clone())).await;
        let view: AccountView = serde_json::from_str(&out).expect("an account");
        assert_eq!(view.identifiant, name);
        let (code, out, errors) = shown(&json, Command::DeleteAccount(name.clone())).await;
        assert_eq!((code, out.as_str(), errors.as_str()), (success, "", ""));
        let (_, out, errors) = shown(&json, Command::DeleteAccount(name)).await;
        assert!(out.contains("\"status\":404"), "{out}");
        assert_eq!(errors, "octroi: there is no such account\n");

        stop.send(()).expect("a server");
        serving.await.expect("no panic").expect("served");
    }
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_socket_is_its_owners_alone_and_is_not_stolen() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    let place = AdminListen::Unix(path.clone());
    let left_behind = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    assert!(Listener::bind(&place).await.is_err());
    drop(left_behind);
    let _listener = Listener::bind(&place).await.expect("a listener");
    let mode = std::fs::metadata(&path).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").expect("a file");
    assert!(Listener::bind(&AdminListen::Unix(file.clone())).await.is_err());
    assert!(file.exists());
}

#[tokio::test]
async fn nobody_answers() {
    // Nobody else gets an address that is held, and nobody listens there.
    let held = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    held.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    let address = held.local_addr().expect("an address").as_socket().expect("an address");
    for url in [format!("http://{address}"), "unix:/nowhere/admin.sock".to_owned()] {
        let error = gateway(&url, false).call(Command::ShowClock).await.expect_err("nobody");
        assert_eq!(error.to_string(), format!("no gateway answers at {url} (is it running? see --admin)"));
    }
}

#[test]
fn a_stranger_who_answers_is_told_apart() {
    let gateway = gateway("http://127.0.0.1:9901", false);
    for status in [StatusCode::OK, StatusCode::NOT_FOUND] {
        let show = |_: &AccountView, _: &mut dyn std::io::Write| Ok(());
        let body = bytes::Bytes::from_static(b"<h1>It works</h1>");
        let error =
            gateway.report(status, &body, show, &mut Vec::new(), &mut Vec::new()).expect_err("no gateway");
        assert!(error.to_string().contains("is no gateway's admin listener"), "{error}");
    }
}
