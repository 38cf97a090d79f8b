//! TLS in front: versions, protocols, the cookie, a certificate that changes.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ProtocolVersion, SignatureScheme,
    StreamOwned, SupportedProtocolVersion,
};
use serde_json::json;

use crate::harness::client::{Response, read_response};
use crate::harness::eventually;
use crate::harness::gateway::Settings;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, World};

const CERTIFICATE: &str = include_str!("../../src/config/testdata/tls.crt");
const KEY: &str = include_str!("../../src/config/testdata/tls.key");

pub struct Secured {
    pub world: World,
    pub folder: tempfile::TempDir,
}

pub fn secured() -> Secured {
    secured_with(|_| ())
}

/// The same, its configuration changed first.
pub fn secured_with(change: impl FnOnce(&mut Settings)) -> Secured {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), CERTIFICATE, KEY);
    let file = |name: &str| format!("{:?}", folder.path().join(name).display().to_string());
    let (certificate, key) = (file("tls.crt"), file("tls.key"));
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("server.tls", "certificate", &certificate).set("server.tls", "key", &key);
        change(settings);
    });
    Secured { world, folder }
}

/// Puts another certificate in the place of the one in use.
pub fn write(folder: &Path, certificate: &str, key: &str) {
    fs::write(folder.join("tls.key"), key).unwrap();
    fs::write(folder.join("tls.crt"), certificate).unwrap();
}

pub fn config(version: &'static SupportedProtocolVersion, alpn: &[&str]) -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let seen = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(seen)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

pub type Stream = StreamOwned<ClientConnection, TcpStream>;

pub fn connect(address: SocketAddr, config: ClientConfig) -> Stream {
    let name = ServerName::try_from("esat.extranet.example").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    stream.conn.complete_io(&mut stream.sock).unwrap();
    stream
}

pub fn ask(address: SocketAddr, config: ClientConfig, request: &str) -> Response {
    let mut stream = connect(address, config);
    stream.write_all(request.as_bytes()).unwrap();
    read_response(&mut stream, false).expect("a response")
}

pub fn sign_in_request() -> String {
    let body = json!({"identifiant": ONE_CAF, "mot_de_passe": PASSWORD}).to_string();
    format!(
        "POST /portail/connexion HTTP/1.1\r\nHost: esat.extranet.example\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn both_versions_of_tls_and_a_cookie_for_this_host_alone() {
    let secured = secured();
    let address = secured.world.gateway.public;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let answer = ask(address, config(version, &[]), &sign_in_request());
        assert_eq!(answer.etat(), "admis");
        let cookie = answer.header("set-cookie").unwrap();
        assert!(cookie.starts_with("__Host-octroi=") && cookie.len() < 200, "{cookie}");
        for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.split("; ").any(|part| part == attribute), "{attribute}: {cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
        assert!(answer.header("strict-transport-security").is_some());
    }
}

#[test]
fn the_protocol_is_agreed_by_alpn() {
    let secured = secured();
    let agreed = |alpn: &[&str]| {
        let stream = connect(secured.world.gateway.public, config(&rustls::version::TLS13, alpn));
        assert_eq!(stream.conn.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        stream.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned())
    };
    assert_eq!(agreed(&["h2", "http/1.1"]).as_deref(), Some("h2"));
    assert_eq!(agreed(&["http/1.1"]).as_deref(), Some("http/1.1"));
    assert_eq!(agreed(&[]), None);
}

#[test]
fn http_2_reaches_the_backend_over_http_1() {
    let secured = secured();
    let answer = ask(secured.world.gateway.public, config(&rustls::version::TLS13, &[]), &sign_in_request());
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (status, body) = runtime.block_on(async {
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config(&rustls::version::TLS13, &["h2"])));
        let tcp = tokio::net::TcpStream::connect(secured.world.gateway.public).await.unwrap();
        let name = ServerName::try_from("esat.extranet.example").unwrap();
        let tls = connector.connect(name, tcp).await.unwrap();
        let (mut send, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::post("https://esat.extranet.example/d?x=1")
            .header("cookie", "theme=clair")
            .header("cookie", cookie)
            .body(Full::new(Bytes::from_static(b"corps")))
            .unwrap();
        let answer = send.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.into_body().collect().await.unwrap().to_bytes())
    });
    assert_eq!((status, &body[..]), (200, &b"Caf 921"[..]));
    let got = secured.world.caf921.last();
    assert_eq!(got.line(), "POST /d?x=1 HTTP/1.1");
    assert_eq!((got.one("host"), got.one("cookie")), ("esat.extranet.example", "theme=clair"));
    assert_eq!((got.one("x-forwarded-proto"), &got.body[..]), ("https", &b"corps"[..]));
}

#[test]
fn a_new_certificate_is_used_without_a_restart() {
    let secured = secured();
    let address = secured.world.gateway.public;
    let shown = || {
        let stream = connect(address, config(&rustls::version::TLS13, &[]));
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let old = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    assert_eq!(shown(), old.to_vec());
    let made = rcgen::generate_simple_self_signed(vec!["esat.extranet.example".to_owned()]).unwrap();
    write(secured.folder.path(), &made.cert.pem(), &made.signing_key.serialize_pem());
    eventually("the new certificate is shown", || shown() == made.cert.der().to_vec());
    fs::write(secured.folder.path().join("tls.crt"), "rien").unwrap();
    eventually("the failure is told", || secured.world.gateway.logs().contains("the last one stays"));
    assert_eq!(shown(), made.cert.der().to_vec());
}

/// The tests look at the certificate themselves.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
