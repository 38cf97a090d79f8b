//! Bodies as they should not be.

use http_body_util::Full;

use super::*;

const WANTED: &[&str] = &["identifiant", "mot_de_passe"];
const FORM_TYPE: &str = "application/x-www-form-urlencoded";

async fn read(content_type: &str, body: &[u8]) -> Result<Fields, BodyError> {
    let request = Request::builder().header(CONTENT_TYPE, content_type).body(Full::from(body.to_vec()));
    Fields::read(WANTED, request.expect("a request")).await
}

fn wrong(name: &'static str, fault: FieldFault) -> BodyError {
    BodyError::Field { name, fault }
}

#[tokio::test]
async fn texts_are_taken_as_they_are() {
    for (content_type, body) in [
        (FORM_TYPE, "identifiant=a+b%40c&mot_de_passe=%C3%A9%25+%3D%26=&autre=%FF&autre=1"),
        ("Application/X-WWW-Form-Urlencoded; charset=UTF-8", "identifiant=a%20b@c&mot_de_passe=é%+%3d%26="),
        ("application/json", r#"{"identifiant":"a b@c","mot_de_passe":"é% =&=","autre":[{"x":null}]}"#),
        ("application/vnd.editeur+json;v=1", r#" {"mot_de_passe":"\u00e9% =&=","identifiant":"a b@c"} "#),
    ] {
        let mut fields = read(content_type, body.as_bytes()).await.expect("fields");
        assert_eq!(fields.peek("identifiant"), Some("a b@c"), "{body}");
        assert_eq!(fields.text("mot_de_passe").as_deref(), Ok("é% =&="), "{body}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    for (content_type, body) in [
        (FORM_TYPE, ""),
        (FORM_TYPE, "mot_de_passe%3Dx&&=&Mot_de_passe=x"),
        ("application/json", "{}"),
        ("application/json", r#"{"mot_de_passe":null}"#),
    ] {
        let mut fields = read(content_type, body.as_bytes()).await.expect("fields");
        assert_eq!(
            fields.text("mot_de_passe").err(),
            Some(wrong("mot_de_passe", FieldFault::Missing)),
            "{body}"
        );
        assert!(fields.optional_secret("mot_de_passe").is_none());
    }
}

#[tokio::test]
async fn hostile_forms_are_refused() {
    for (body, fault) in [
        (&b"mot_de_passe=a&mot_de_passe=a"[..], FieldFault::Repeated),
        (b"mot_de_passe=a&mot%5Fde%5Fpasse=b", FieldFault::Repeated),
        (b"mot_de_passe=a%00b", FieldFault::Unreadable),
        (b"mot_de_passe=a%0Ab", FieldFault::Unreadable),
        (b"mot_de_passe=%C2%85", FieldFault::Unreadable),
        (b"mot_de_passe=%FF", FieldFault::Unreadable),
        (b"mot_de_passe=\xc3\x28", FieldFault::Unreadable),
        (b"mot_de_passe=%C0%80", FieldFault::Unreadable),
    ] {
        assert_eq!(read(FORM_TYPE, body).await.err(), Some(wrong("mot_de_passe", fault)), "{body:?}");
    }
}

#[tokio::test]
async fn hostile_json_is_refused() {
    for (body, fault) in [
        (r#"{"mot_de_passe":1}"#, FieldFault::NotText),
        (r#"{"mot_de_passe":-1.5e3}"#, FieldFault::NotText),
        (r#"{"mot_de_passe":true}"#, FieldFault::NotText),
        (r#"{"mot_de_passe":["a"]}"#, FieldFault::NotText),
        (r#"{"mot_de_passe":{"a":"b"}}"#, FieldFault::NotText),
        (r#"{"mot_de_passe":"a","mot_de_passe":"b"}"#, FieldFault::Repeated),
        (r#"{"mot_de_passe":"a\u0000"}"#, FieldFault::Unreadable),
        (r#"{"mot_de_passe":"a\n"}"#, FieldFault::Unreadable),
    ] {
        let read = read("application/json", body.as_bytes()).await;
        assert_eq!(read.err(), Some(wrong("mot_de_passe", fault)), "{body}");
    }
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    for body in [
        "",
        "null",
        "[]",
        "\"a\"",
        "{",
        "{}x",
        "{\"a\":}",
        "{'a':1}",
        "\u{feff}{}",
        "{\"mot_de_passe\":\"\\ud800\"}",
    ] {
        assert_eq!(
            read("application/json", body.as_bytes()).await.err(),
            Some(BodyError::Syntax),
            "{body:.40}"
        );
    }
    assert!(read("application/json", deep.as_bytes()).await.is_ok(), "passed over, however deep");
    assert_eq!(read("application/json", b"{\"mot_de_passe\":\"\xff\"}").await.err(), Some(BodyError::Syntax));
}

#[tokio::test]
async fn other_types_and_large_bodies_are_refused() {
    for content_type in ["text/plain", "multipart/form-data; boundary=x", "text/json", "", "json", "+jso"] {
        assert_eq!(read(content_type, b"{}").await.err(), Some(BodyError::Type), "{content_type:?}");
    }
    let bare = Request::new(Full::<Bytes>::default());
    assert_eq!(Fields::read(WANTED, bare).await.err(), Some(BodyError::Type));
    let zipped = Request::builder().header(CONTENT_TYPE, FORM_TYPE).header(CONTENT_ENCODING, "gzip");
    let zipped = zipped.body(Full::<Bytes>::default()).expect("a request");
    assert_eq!(Fields::read(WANTED, zipped).await.err(), Some(BodyError::Type));
    assert!(read(FORM_TYPE, &vec![b'a'; LARGEST]).await.is_ok());
    assert_eq!(read(FORM_TYPE, &vec![b'a'; LARGEST + 1]).await.err(), Some(BodyError::TooLarge));
}

/// A body that never says how long it is, nor ends.
struct Endless(Option<Bytes>);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        match &self.0 {
            Some(chunk) => std::task::Poll::Ready(Some(Ok(http_body::Frame::data(chunk.clone())))),
            None => std::task::Poll::Pending,
        }
    }
}

#[tokio::test]
async fn an_endless_body_is_cut() {
    let request = Request::builder().header(CONTENT_TYPE, FORM_TYPE).body(Endless(Some(Bytes::from("a=b&"))));
    let read = Fields::read(WANTED, request.expect("a request")).await;
    assert_eq!(read.err(), Some(BodyError::TooLarge));
}

#[tokio::test]
async fn a_silent_body_is_given_up() {
    let request = Request::builder().header(CONTENT_TYPE, FORM_TYPE).body(Endless(None)).expect("a request");
    let read = Fields::read_within(Duration::from_millis(5), WANTED, request).await;
    assert_eq!(read.err(), Some(BodyError::Late));
}
