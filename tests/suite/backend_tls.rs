//! TLS towards backends: whom the gateway believes, who it is to them, and files that change.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use hyper::Version;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData as _,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;

use crate::harness::client::Client;
use crate::harness::eventually;
use crate::harness::modern::{Modern, text};
use crate::harness::world::{Kind, SIRET, World, account};

const SOUTH: &str = "sud@esat.example";

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Authorities of one name would be taken for each other until their signatures are looked at.
static KEYS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    let name = KEYS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    params.distinguished_name.push(DnType::CommonName, format!("Autorité {name}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name`, its key, and its key's pin.
struct Leaf {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Leaf {
    fn new(authority: &Authority, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Self { certificate: params.signed_by(&key, authority).unwrap(), key }
    }

    fn pin(&self) -> String {
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.key.subject_public_key_info());
        format!("sha256//{}", STANDARD.encode(digest))
    }

    fn write(&self, folder: &Path) {
        std::fs::write(folder.join("own.key"), self.key.serialize_pem()).unwrap();
        std::fs::write(folder.join("own.crt"), self.certificate.pem()).unwrap();
    }

    /// What a backend that has this certificate speaks; with `clients`, only to those whom it vouches for.
    fn server(&self, clients: Option<&Authority>, alpn: &[&str]) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let mut config = builder.with_single_cert(vec![self.certificate.der().clone()], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

/// A world with a Caf 131 whose backend speaks TLS; each line is one more of the Caf's.
struct South {
    world: World,
    folder: tempfile::TempDir,
}

impl South {
    fn new(backend: SocketAddr, authority: &Authority, lines: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        Self::with(folder, backend, lines)
    }

    fn with(folder: tempfile::TempDir, backend: SocketAddr, lines: &[&str]) -> Self {
        let place = folder.path().display().to_string();
        let world = World::with(Kind::Embedded, |settings| {
            settings.caf_urls("131", "Caf des Bouches-du-Rhône", &[format!("https://{backend}")]);
            settings.caf_line(&format!("ca = \"{place}/ca.pem\""));
            for line in lines {
                settings.caf_line(&line.replace("FOLDER", &place));
            }
        });
        world.gateway.accounts(&[account(SOUTH, SIRET, &["131"])]);
        world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
        Self { world, folder }
    }

    fn client(&self) -> Client {
        self.world.signed_in(SOUTH)
    }

    fn last_error(&self) -> String {
        let status = self.world.gateway.admin().get("/v1/cafs/131").send().json();
        status["instances"][0]["last_error"]["what"].as_str().unwrap_or_default().to_owned()
    }
}

const BOTH: &[&str] = &["h2", "http/1.1"];

#[test]
fn a_backend_that_its_authority_vouches_for_is_believed_and_no_other() {
    let (ours, stranger) = (authority(), authority());
    let right = Leaf::new(&ours, "127.0.0.1");
    let backend = Modern::start(Some(right.server(None, &["http/1.1"])));
    let south = South::new(backend.address, &ours, &[]);
    let mut client = south.client();
    assert_eq!(client.get("/d?q=1").program().send().text(), "bien");
    let got = backend.last();
    assert_eq!((got.version, got.path.as_str(), got.certificates), (Version::HTTP_11, "/d?q=1", 0));
    assert_eq!(got.headers["x-caf-code"], "131");

    for (leaf, why) in [
        (Leaf::new(&stranger, "127.0.0.1"), "UnknownIssuer"),
        (Leaf::new(&ours, "autre.example"), "not valid for name"),
    ] {
        let liar = Modern::start(Some(leaf.server(None, BOTH)));
        let south = South::new(liar.address, &ours, &[]);
        let refused = south.client().post("/formulaire").json(&json!({"a": 1})).send();
        assert_eq!(refused.problem(), (502, "caf-indisponible".to_owned()));
        assert!(!refused.text().contains("certificate"), "{}", refused.text());
        assert_eq!(liar.got().len(), 0, "the declaration went to a stranger");
        assert!(south.last_error().contains(why), "{}", south.last_error());
    }
    let named = Modern::start(Some(Leaf::new(&ours, "declarations.caf131.example").server(None, BOTH)));
    let south = South::new(named.address, &ours, &["server_name = \"declarations.caf131.example\""]);
    assert_eq!(south.client().get("/").program().send().status, 200);
}

#[test]
fn a_backend_in_clear_where_tls_is_expected_gets_nothing() {
    let backend = Modern::start(None);
    let south = South::new(backend.address, &authority(), &[]);
    assert_eq!(south.client().post("/f").json(&json!({"a": 1})).send().status, 502);
    assert_eq!(backend.got().len(), 0);
}

#[test]
fn a_large_upload_arrives_whole_at_one_who_reads_slowly() {
    let ours = authority();
    let backend = Modern::start(Some(Leaf::new(&ours, "127.0.0.1").server(None, &["http/1.1"])));
    backend.script(|request| async move {
        let (mut body, mut read) = (request.into_body(), 0);
        while let Some(frame) = body.frame().await {
            let size = frame.ok().and_then(|frame| frame.into_data().ok()).map_or(0, |data| data.len());
            // Some 15 MB a second: the sockets between are full to the end.
            tokio::time::sleep(Duration::from_micros(size as u64 / 15)).await;
            read += size;
        }
        text(&read.to_string())
    });
    let south = South::new(backend.address, &ours, &[]);
    let mut client = south.client();
    for size in [20_000_001, 3] {
        let sent = client.post("/depot").body("application/pdf", &vec![b'x'; size]).send();
        assert_eq!((sent.status, sent.text()), (200, size.to_string()));
    }
    assert!(backend.connections() <= 2, "one a worker at most: {}", backend.connections());
}

#[test]
fn both_prefer_http2_and_one_connection_is_shared() {
    let ours = authority();
    let leaf = Leaf::new(&ours, "127.0.0.1");
    let backend = Modern::start(Some(leaf.server(None, BOTH)));
    let south = South::new(backend.address, &ours, &[]);
    let mut client = south.client();
    for _ in 0..10 {
        let sent = client.post("/f?x=%20y").json(&json!({"a": 1})).send();
        assert_eq!((sent.status, sent.text().as_str()), (200, "bien"));
    }
    let got = backend.last();
    assert_eq!((got.version, got.path.as_str()), (Version::HTTP_2, "/f?x=%20y"));
    assert_eq!(got.scheme.as_deref(), Some("https"));
    let asked = south.world.gateway.public.to_string();
    assert_eq!(got.authority.as_deref(), Some(asked.as_str()), "the host that the client asked");
    assert!(got.headers.get("host").is_none_or(|host| host == asked.as_str()));
    assert!(backend.connections() <= 2, "one a worker at most: {}", backend.connections());

    for (protocol, version) in [("http1", Version::HTTP_11), ("http2", Version::HTTP_2)] {
        let south = South::new(backend.address, &ours, &[&format!("protocol = {protocol:?}")]);
        assert_eq!(south.client().get("/").program().send().status, 200);
        assert_eq!(backend.last().version, version);
    }
    backend.renew(leaf.server(None, &["http/1.1"]));
    let south = South::new(backend.address, &ours, &["protocol = \"http2\""]);
    assert_eq!(south.client().get("/").program().send().status, 502, "HTTP/2 was to be spoken or nothing");
}

#[test]
fn the_gateway_shows_who_it_is_and_changed_files_are_read_again() {
    let (servers, first, second) = (authority(), authority(), authority());
    let leaf = Leaf::new(&servers, "127.0.0.1");
    let backend = Modern::start(Some(leaf.server(Some(&first), BOTH)));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), servers.pem()).unwrap();
    Leaf::new(&first, "passerelle.example").write(folder.path());
    let lines = ["certificate = \"FOLDER/own.crt\"", "key = \"FOLDER/own.key\""];
    let south = South::with(folder, backend.address, &lines);
    let mut client = south.client();
    assert_eq!(client.get("/").program().send().status, 200);
    assert_eq!(backend.last().certificates, 1);

    backend.renew(leaf.server(Some(&second), BOTH));
    let without = South::new(backend.address, &servers, &[]);
    assert_eq!(without.client().get("/").program().send().status, 502, "a backend that asks gets an answer");
    std::fs::write(south.folder.path().join("own.crt"), "cassé").unwrap();
    eventually("the broken file is told of", || south.world.gateway.logs().contains("the last ones stay"));
    Leaf::new(&second, "passerelle.example").write(south.folder.path());
    eventually("the new certificate is shown", || {
        south.world.gateway.logs().contains("new certificates towards its backend in use")
    });
    // A connection that was made before is kept for as long as it is used; a gateway that is new makes its own.
    eventually("the new certificate is believed", || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        client.get("/").program().send().status == 200 && backend.last().certificates == 1
    });
    assert!(!south.world.gateway.logs().contains("BEGIN"), "a key in the logs");
}

#[test]
fn a_pinned_key_is_needed_besides_all_the_rest() {
    let ours = authority();
    let (right, other) = (Leaf::new(&ours, "127.0.0.1"), Leaf::new(&ours, "127.0.0.1"));
    let backend = Modern::start(Some(right.server(None, BOTH)));
    let pins = |pins: &[String]| format!("pins = {pins:?}");
    let south = South::new(backend.address, &ours, &[&pins(&[other.pin(), right.pin()])]);
    assert_eq!(south.client().get("/").program().send().status, 200);
    let south = South::new(backend.address, &ours, &[&pins(&[other.pin()])]);
    assert_eq!(south.client().get("/").program().send().status, 502);
    eventually("the logs say why", || south.world.gateway.logs().contains("none of the Caf's pins"));
    let stranger = authority();
    let liar = Leaf::new(&stranger, "127.0.0.1");
    backend.renew(liar.server(None, BOTH));
    let south = South::new(backend.address, &ours, &[&pins(&[liar.pin()])]);
    assert_eq!(south.client().get("/").program().send().status, 502, "a pin alone is not enough");
}
