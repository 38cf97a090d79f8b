//! What `OPTIONS` asks of the gateway itself rather than of a backend.

use http::header::{ALLOW, MAX_FORWARDS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use super::Body;
use super::problem::METHODS;

/// What can be asked here (RFC 9110 section 9.3.7).
pub(super) fn answer() -> Response<Body> {
    let mut response = Response::new(Body::from(Full::default()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
    response
}

/// Whether an `OPTIONS` goes no further than here; counts the hop otherwise (RFC 9110 section 7.6.2).
pub(super) fn ends_here<B>(request: &mut Request<B>) -> bool {
    if *request.method() != Method::OPTIONS {
        return false;
    }
    let Some(said) = request.headers().get(MAX_FORWARDS) else { return false };
    let digits = said.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|text| text.parse::<u32>().ok()) {
        Some(0) => true,
        Some(hops) => {
            request.headers_mut().insert(MAX_FORWARDS, HeaderValue::from(hops - 1));
            false
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_are_counted_for_options_alone() {
        let left = |method: Method, said: &str| {
            let request = Request::builder().method(method).header(MAX_FORWARDS, said).body(());
            let mut request = request.expect("a request");
            let ends = ends_here(&mut request);
            (ends, request.headers()[MAX_FORWARDS].to_str().expect("ASCII").to_owned())
        };
        assert_eq!(left(Method::OPTIONS, "0"), (true, "0".to_owned()));
        assert_eq!(left(Method::OPTIONS, "10"), (false, "9".to_owned()));
        assert_eq!(left(Method::GET, "0"), (false, "0".to_owned()));
        for odd in ["", "-1", "+1", "1.0", "99999999999"] {
            assert_eq!(left(Method::OPTIONS, odd), (false, odd.to_owned()));
        }
    }
}
