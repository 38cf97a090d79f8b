use proptest::prelude::*;

use super::*;

fn tag() -> Tag {
    Tag::new("921".parse().unwrap(), Some("JSESSIONID"))
}

/// What the backend of 921 sees of these `Cookie` headers.
fn inward(cookies: &[&str]) -> Option<String> {
    let mut headers = HeaderMap::new();
    for value in cookies {
        headers.append(COOKIE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    tag().inward(&mut headers, &mut Vec::new());
    assert!(headers.get_all(COOKIE).iter().count() <= 1);
    headers.get(COOKIE).map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap())
}

/// What a browser sees of this `Set-Cookie` of the backend of 921.
fn outward(set_cookie: &[u8]) -> Option<String> {
    let mut headers = HeaderMap::new();
    headers.append(SET_COOKIE, HeaderValue::from_bytes(set_cookie).unwrap());
    tag().outward(&mut headers, Mark::of("http://a"), &mut Vec::new());
    headers.get(SET_COOKIE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[test]
fn a_backend_sees_its_own_cookies_and_nobodys() {
    for (sent, seen) in [
        (vec!["a=b"], Some("a=b")),
        (vec!["__Host-octroi=secret"], None),
        (vec!["octroi=secret; __Host-octroi=secret"], None),
        (vec!["__host-octroi=secret", "OCTROI=secret", "__Secure-octroi=x"], None),
        (vec!["octroi"], None),
        (vec!["a=1; __Host-octroi=secret; b=2"], Some("a=1; b=2")),
        (vec!["a=1", "b=2"], Some("a=1; b=2")),
        (vec!["octroi-921-JSESSIONID=abc"], Some("JSESSIONID=abc")),
        (vec!["__Host-octroi-921-s=abc"], Some("__Host-s=abc")),
        (vec!["__Secure-octroi-921-s=abc=="], Some("__Secure-s=abc==")),
        (vec!["octroi-751-JSESSIONID=abc"], None),
        (vec!["__Host-octroi-751-s=abc; x=y"], Some("x=y")),
        (vec!["s=forged; octroi-921-s=own"], Some("s=own")),
        (vec!["s=forged", "octroi-921-s=own", "t=u"], Some("s=own; t=u")),
        (vec!["octroi-921-=x"], None),
        (vec!["octroi-921-octroi=x"], None),
        (vec!["octroi-921-__Host-octroi=x"], None),
        (vec!["octroi-921-octroi-751-a=x"], None),
        (vec!["octroi-themed=dark"], Some("octroi-themed=dark")),
        (vec![" ;; a = b ;;"], Some("a = b")),
        (vec!["flag; a=b"], Some("flag; a=b")),
        (vec![""], None),
    ] {
        assert_eq!(inward(&sent).as_deref(), seen, "{sent:?}");
    }
}

#[test]
fn what_a_backend_sets_bears_its_tag() {
    for (set, seen) in [
        ("a=b", Some("octroi-921-a=b")),
        ("a=b; Path=/;HttpOnly;  SameSite=Lax ", Some("octroi-921-a=b; Path=/;HttpOnly;  SameSite=Lax ")),
        ("a=b; domain=inner.example; Secure", Some("octroi-921-a=b; Secure")),
        ("a=b;DOMAIN = .x;Max-Age=1; Domain", Some("octroi-921-a=b;Max-Age=1")),
        ("__Host-s=1; Secure; Path=/", Some("__Host-octroi-921-s=1; Secure; Path=/")),
        ("__SECURE-s=1", Some("__SECURE-octroi-921-s=1")),
        (" s =1", Some("octroi-921-s=1")),
        ("a=", Some("octroi-921-a=")),
        ("a=\"x, y\"", Some("octroi-921-a=\"x, y\"")),
        ("octroi=stolen", None),
        ("__Host-octroi=stolen; Secure; Path=/", None),
        ("__Secure-Octroi=stolen", None),
        ("octroi-751-s=planted", None),
        ("__Host-octroi-751-s=planted", None),
        ("octroi-921-s=1", None),
        ("__Host-=x", None),
        ("=octroi=stolen", None),
        ("flag", None),
        ("", None),
        ("a=b\tc", None),
    ] {
        assert_eq!(outward(set.as_bytes()).as_deref(), seen, "{set:?}");
    }
    assert!(outward(b"a=\xe9").is_some());
}

#[test]
fn several_are_renamed_in_their_order() {
    let mut headers = HeaderMap::new();
    for value in ["a=1", "octroi=2", "b=3"] {
        headers.append(SET_COOKIE, HeaderValue::from_static(value));
    }
    tag().outward(&mut headers, Mark::of("http://a"), &mut Vec::new());
    let seen: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
    assert_eq!(seen, ["octroi-921-a=1", "octroi-921-b=3"]);
}

/// Words that a hostile cookie would be made of.
fn hostile() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("octroi"),
        Just("-"),
        Just("921"),
        Just("751"),
        Just("__Host-"),
        Just("__secure-"),
        Just("="),
        Just(";"),
        Just("; "),
        Just(" "),
        Just("\""),
        Just(","),
        Just("a"),
        Just("Domain"),
        Just("OCTROI"),
    ];
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_backend_sees_a_name_that_is_not_for_it(first in hostile(), second in hostile()) {
        let seen = inward(&[&first, &second]).unwrap_or_default();
        for pair in cookie_pairs(seen.as_bytes()) {
            let (_, rest) = split_prefix(split_pair(pair).0);
            prop_assert!(!rest.eq_ignore_ascii_case(MARK), "{seen:?}");
            prop_assert!(!is_tagged(rest), "{seen:?}");
        }
    }

    #[test]
    fn no_backend_sets_a_name_without_its_tag(set in hostile()) {
        if let Some(seen) = outward(set.as_bytes()) {
            let (_, rest) = split_prefix(seen.as_bytes());
            prop_assert!(rest.starts_with(b"octroi-921-"), "{seen:?}");
            let domain = seen.to_ascii_lowercase().split(';').skip(1).any(|part| part.trim() == "domain");
            prop_assert!(!domain, "{seen:?}");
        }
    }

    #[test]
    fn what_is_set_comes_back(name in "(__Host-)?[a-zA-Z0-9_.]{1,12}", value in "[a-z0-9=]{0,12}") {
        let set = format!("{name}={value}; Path=/");
        if let Some(seen) = outward(set.as_bytes()) {
            let kept = seen.split(';').next().unwrap_or_default();
            let back = inward(&[kept]);
            prop_assert_eq!(back, Some(format!("{name}={value}")));
        }
    }

    #[test]
    fn any_bytes_are_borne(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            headers.append(COOKIE, value.clone());
            headers.append(SET_COOKIE, value);
        }
        tag().inward(&mut headers, &mut Vec::new());
        tag().outward(&mut headers, Mark::of("http://a"), &mut Vec::new());
    }
}

#[test]
fn a_sticky_cookie_tells_its_instance_and_nothing_else_does() {
    let set = outward(b"JSESSIONID=abc; Path=/").unwrap();
    let mark = Mark::of("http://a");
    let value = set.strip_prefix("octroi-921-JSESSIONID=").unwrap().strip_suffix("~abc; Path=/").unwrap();
    let marked = |cookies: &str| {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_str(cookies).unwrap());
        let marked = tag().inward(&mut headers, &mut Vec::new());
        (marked, headers.get(COOKIE).map(|value| value.to_str().unwrap().to_owned()))
    };
    let own = format!("octroi-921-JSESSIONID={value}~abc");
    assert_eq!(marked(&own), (Some(mark), Some("JSESSIONID=abc".to_owned())));
    for other in [
        format!("octroi-751-JSESSIONID={value}~abc"),
        format!("JSESSIONID={value}~abc"),
        format!("octroi-921-other={value}~abc"),
        "octroi-921-JSESSIONID=abc".to_owned(),
    ] {
        assert_eq!(marked(&other).0, None, "{other}");
    }
    assert_eq!(outward(b"other=abc").unwrap(), "octroi-921-other=abc");
    assert_eq!(outward(b"JSESSIONID=; Max-Age=0").unwrap(), "octroi-921-JSESSIONID=; Max-Age=0");
}
