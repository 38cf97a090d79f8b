use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::*;
use crate::forward::testing;
use crate::forward::word::write_field;

struct Case {
    sent: Request<Full<Bytes>>,
    from: Provenance,
}

fn case(headers: &[(&str, &str)]) -> Case {
    let mut builder = Request::get("/a%20b?c=d").header("host", "esat.example:8443");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    Case { sent: builder.body(Full::default()).unwrap(), from: testing::provenance() }
}

impl Case {
    /// What is sent of it.
    fn prepare(self) -> Result<Parts, Reason> {
        let (mut head, body) = self.sent.into_parts();
        let permit = testing::permit("921");
        let tag = Tag::new(permit.caf(), None);
        let fallback = HeaderValue::from_static("backend:80");
        let ready = prepare(&mut head, &body, permit, self.from, &fallback, &tag, &mut Desk::default())?;
        ready.word.for_each(|name, value| {
            head.headers.append(name, value.clone());
        });
        Ok(head)
    }

    fn headers(self) -> HeaderMap {
        self.prepare().unwrap().headers
    }
}

/// The headers that a backend gets of a request without any.
const OURS: [(&str, &str); 12] = [
    ("host", "esat.example:8443"),
    ("x-esat-compte", "direction@esat.example"),
    ("x-esat-siret", "73282932000074"),
    ("x-caf-code", "921"),
    ("x-octroi-volets", "changement-activite"),
    ("x-octroi-assertion", "signed"),
    ("x-request-id", "id-1"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("x-forwarded-for", "192.0.2.7"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "esat.example:8443"),
    ("forwarded", "for=192.0.2.7;proto=https;host=\"esat.example:8443\""),
];

fn assert_only_ours(headers: &HeaderMap, context: &str) {
    assert_eq!(headers.len(), OURS.len(), "{context}: {headers:?}");
    for (name, value) in OURS {
        assert_eq!(headers[name], value, "{context}: {name}");
    }
}

#[test]
fn a_backend_is_told_who_asks() {
    assert_only_ours(&case(&[]).headers(), "none");
}

#[test]
fn a_clients_own_copies_are_dropped() {
    let names = OURS.iter().map(|(name, _)| *name).filter(|name| *name != "host");
    let others = [
        "x-esat-identifiant-communication",
        "x-esat-x",
        "x-octroi-y",
        "x-forwarded-port",
        "tracestate",
        "x-original-url",
        "x-rewrite-url",
    ];
    for name in names.chain(others) {
        for variant in [name.to_owned(), name.replace('-', "_"), name.replace('-', "."), name.to_uppercase()]
        {
            assert_only_ours(&case(&[(&variant, "forged")]).headers(), &variant);
        }
        for place in name.match_indices('-').map(|(place, _)| place) {
            let mut mixed = name.to_owned();
            mixed.replace_range(place..=place, "_");
            assert_only_ours(&case(&[(&mixed, "a"), (&mixed, "b"), (name, "c")]).headers(), &mixed);
        }
        assert_only_ours(&case(&[("connection", name)]).headers(), name);
    }
}

#[test]
fn what_the_gateway_says_no_client_can() {
    let permit = testing::permit("921");
    let mut desk = Desk::default();
    Word::new(&mut HeaderMap::new(), permit, testing::provenance(), &mut desk).for_each(|name, _| {
        assert!(names::ends_here(name, false), "{name}");
    });
}

#[test]
fn what_is_written_is_what_is_said() {
    let kept = [
        &[][..],
        &[("x-forwarded-for", "192.0.2.7")],
        &[("forwarded", "for=192.0.2.7")],
        &[("x-forwarded-proto", "https"), ("x-forwarded-host", "a")],
    ];
    let mut desk = Desk::default();
    for headers in kept {
        let mut case = case(headers);
        case.from.by_trusted_proxy = true;
        let word = Word::new(case.sent.headers_mut(), testing::permit("921"), case.from, &mut desk);
        let (mut written, mut said) = (Vec::new(), Vec::new());
        word.write(&mut written);
        word.for_each(|name, value| write_field(name, value, &mut said));
        assert_eq!(String::from_utf8(written), String::from_utf8(said), "{headers:?}");
    }
}

#[test]
fn hop_by_hop_headers_end_here() {
    for (name, value) in [
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic x"),
        ("proxy-authenticate", "Basic"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("http2-settings", "x"),
        ("expect", "100-continue"),
        ("transfer_encoding", "chunked"),
        ("content_length", "7"),
        ("proxy_connection", "x"),
        ("proxy", "http://evil.example"),
    ] {
        assert_only_ours(&case(&[(name, value)]).headers(), name);
    }
    let named = case(&[("connection", "close, X-Mine ,, b@d, cookie"), ("x-mine", "1"), ("cookie", "a=b")]);
    assert_only_ours(&named.headers(), "named");
}

#[test]
fn what_says_where_and_how_long_cannot_be_named_away() {
    let headers = case(&[("connection", "host, content-length"), ("content-length", "0")]).headers();
    assert_eq!(
        (&headers["host"], &headers["content-length"]),
        (&OURS[0].1.parse().unwrap(), &"0".parse().unwrap())
    );
}

#[test]
fn all_else_passes() {
    for (name, value) in [
        ("accept", "*/*"),
        ("x-mine", "1"),
        ("x_mine", "1"),
        ("x-cafe", "1"),
        ("x-real-ip", "1.2.3.4"),
        ("upgrade-insecure-requests", "1"),
        ("range", "bytes=0-1"),
        ("if-none-match", "\"x\""),
        ("cookie", "a=b"),
        ("content-length", "0"),
    ] {
        let headers = case(&[(name, value)]).headers();
        assert_eq!(headers[name], value);
        assert_eq!(headers.len(), OURS.len() + 1, "{name}");
    }
}

#[test]
fn trailers_are_asked_anew() {
    let headers = case(&[("te", "gzip;q=0.5, trailers"), ("connection", "te, x")]).headers();
    assert_eq!((&headers["te"], &headers["connection"]), (&TRAILERS, &CONNECTION_TE));
}

#[test]
fn a_trusted_proxys_word_is_kept_when_it_is_about_this_client() {
    let trusted = |headers: &[(&str, &str)]| {
        let mut case = case(headers);
        case.from.by_trusted_proxy = true;
        case.headers()
    };
    let kept = [
        ("x-forwarded-for", "10.9.9.9, 192.0.2.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "public.example"),
        ("forwarded", "for=192.0.2.7;host=public.example"),
        ("tracestate", "a=b"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let headers = trusted(&kept);
    for (name, value) in kept {
        assert_eq!(headers[name], value, "{name}");
    }
    let of_no_trace = [("tracestate", "a=b"), ("traceparent", "00-x")];
    assert_only_ours(&trusted(&of_no_trace), "a state without its trace");
    let forged = [("forwarded", "for=6.6.6.6"), ("x_forwarded_for", "6.6.6.6"), ("x-esat-siret", "6")];
    assert_only_ours(&trusted(&forged), "forged");
}

#[test]
fn an_ipv6_client_is_quoted_and_a_mapped_one_is_ipv4() {
    let mut six = case(&[]);
    six.from.client = "2001:db8::1".parse().unwrap();
    six.from.https = false;
    let headers = six.headers();
    assert_eq!(headers["x-forwarded-for"], "2001:db8::1");
    assert_eq!(headers["forwarded"], "for=\"[2001:db8::1]\";proto=http;host=\"esat.example:8443\"");
    let mut mapped = case(&[]);
    mapped.from.client = "::ffff:192.0.2.7".parse().unwrap();
    assert_only_ours(&mapped.headers(), "mapped");
}

#[test]
fn the_target_keeps_its_bytes_and_its_authority_is_the_host() {
    let mut http2 = case(&[]);
    *http2.sent.uri_mut() = "https://h2.example/a//b;c/%7e%2F?x=%00&&y#".parse().unwrap();
    *http2.sent.version_mut() = Version::HTTP_2;
    let head = http2.prepare().unwrap();
    assert_eq!(head.uri.to_string(), "/a//b;c/%7e%2F?x=%00&&y");
    assert_eq!(head.version, Version::HTTP_11);
    assert_eq!(head.headers["host"], "h2.example");
    assert_eq!(head.headers["x-forwarded-host"], "h2.example");
    for bare in ["http://h.example?x=y", "http://h.example/?x=y"] {
        let mut absolute = case(&[]);
        *absolute.sent.uri_mut() = bare.parse().unwrap();
        assert_eq!(absolute.prepare().unwrap().uri.path_and_query().unwrap().as_str(), "/?x=y");
    }
    let mut old = case(&[]);
    old.sent.headers_mut().remove("host");
    assert_eq!(old.prepare().unwrap().headers["host"], "backend:80");
}

#[test]
fn one_cookie_header_is_sent() {
    let headers = case(&[("cookie", "a=b"), ("cookie", "__Host-octroi=s; c=d")]).headers();
    assert_eq!(headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=b; c=d"]);
}

#[test]
fn a_length_in_doubt_is_refused() {
    for headers in [
        &[("content-length", "1")][..],
        &[("content-length", "+0")],
        &[("content-length", "0, 0")],
        &[("content-length", "")],
        &[("content-length", "0"), ("content-length", "0")],
        &[("transfer-encoding", "gzip, chunked")],
        &[("transfer-encoding", "chunked"), ("transfer-encoding", "x")],
    ] {
        assert!(matches!(case(headers).prepare(), Err(Reason::BadRequest(_))), "{headers:?}");
    }
    let mut connect = case(&[]);
    *connect.sent.method_mut() = Method::CONNECT;
    assert!(matches!(connect.prepare(), Err(Reason::BadRequest(_))));
}
