//! What a backend is sent, and what of its answer is given out.

use http::{Method, StatusCode};

use super::OK;
use crate::forward::Reason;
use crate::forward::testing::*;

#[test]
fn the_request_goes_as_it_came() {
    run(async {
        let peer = Peer::new().await;
        let forwarder = forwarder(&[("921", &[peer.address])], &timeouts());
        let ask = forwarder.ask(get("/a//%7E/b;c=d/../é?x=%2F&y=+[]".replace('é', "%C3%A9").as_str()));
        let answer = async {
            let mut conversation = peer.accept().await;
            let head = conversation.head().await;
            conversation.say(OK).await;
            head
        };
        let (_, head) = tokio::join!(ask, answer);
        assert!(head.starts_with("GET /a//%7E/b;c=d/../%C3%A9?x=%2F&y=+[] HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nhost: esat.example\r\n") && head.contains("\r\nx-caf-code: 921\r\n"));
        assert!(!head.contains("content-length") && !head.contains("transfer-encoding"));
    });
}

#[test]
fn a_body_of_unknown_length_goes_in_chunks_whatever_the_method() {
    run(async {
        let peer = Peer::new().await;
        let forwarder = forwarder(&[("921", &[peer.address])], &timeouts());
        let mut kept_open = Vec::new();
        for method in [Method::POST, Method::GET] {
            let (sender, mut request) = upload();
            *request.method_mut() = method;
            let answer = async {
                let mut conversation = peer.accept().await;
                assert!(conversation.head().await.contains("\r\ntransfer-encoding: chunked\r\n"));
                sender.send(data("abc")).await.unwrap();
                conversation.until("3\r\nabc\r\n").await;
                drop(sender);
                conversation.until("0\r\n\r\n").await;
                conversation
                    .say("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")
                    .await;
                conversation
            };
            let (answered, conversation) = tokio::join!(forwarder.ask(request), answer);
            kept_open.push(conversation);
            // An old server's connection is not used again: it could not be sent chunks.
            assert_eq!(read(answered.unwrap()).await.unwrap().0, "");
        }
    });
}

#[test]
fn trailers_pass_both_ways_less_what_only_a_head_may_say() {
    run(async {
        let peer = Peer::new().await;
        let forwarder = forwarder(&[("921", &[peer.address])], &timeouts());
        let (sender, mut request) = upload();
        request.headers_mut().insert("trailer", "X-Sum, X-Esat-Siret".parse().unwrap());
        request.headers_mut().insert("te", "trailers".parse().unwrap());
        let answer = async {
            let mut conversation = peer.accept().await;
            assert!(conversation.head().await.contains("\r\nte: trailers\r\n"));
            let mut trailers = http::HeaderMap::new();
            trailers.insert("x-sum", "7".parse().unwrap());
            trailers.insert("x-esat-siret", "forged".parse().unwrap());
            sender.send(Ok(http_body::Frame::trailers(trailers))).await.unwrap();
            assert_eq!(conversation.until("\r\n\r\n").await, "0\r\nx-sum: 7\r\n\r\n");
            conversation.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n").await;
            conversation.say("2\r\nok\r\n0\r\nX-End: 1\r\nSet-Cookie: a=b\r\n\r\n").await;
        };
        let (answered, ()) = tokio::join!(forwarder.ask(request), answer);
        let (body, trailers) = read(answered.unwrap()).await.unwrap();
        let trailers = trailers.unwrap();
        assert_eq!((body.as_str(), trailers.len(), &trailers["x-end"]), ("ok", 1, &"1".parse().unwrap()));
    });
}

#[test]
fn an_answer_loses_its_hop_by_hop_headers_and_its_cookies_get_their_tag() {
    run(async {
        let answer = "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Caf-Code: 921\r\n\
            Set-Cookie: s=1; Domain=inner; Path=/\r\nSet-Cookie: __Host-octroi=x\r\nX-End: 1\r\nContent-Length: 0\r\n\r\n";
        let backend = Constant::new(answer, false).await;
        let answer = forwarder(&[("921", &[backend.address])], &timeouts()).ask(get("/")).await.unwrap();
        let headers = answer.headers();
        assert_eq!(headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["octroi-921-s=1; Path=/"]);
        assert_eq!((&headers["x-end"], headers.len()), (&"1".parse().unwrap(), 4), "{headers:?}");
    });
}

#[test]
fn no_backend_speaks_for_the_whole_site() {
    run(async {
        let answer = "HTTP/1.1 200 OK\r\nClear-Site-Data: \"*\"\r\nStrict-Transport-Security: max-age=0\r\n\
            Alt-Svc: h3=\":444\"\r\nContent-Length: 0\r\n\r\n";
        let backend = Constant::new(answer, false).await;
        let answer = forwarder(&[("921", &[backend.address])], &timeouts()).ask(get("/")).await.unwrap();
        assert_eq!(answer.headers().keys().collect::<Vec<_>>(), ["content-length"]);
    });
}

#[test]
fn head_keeps_the_length_of_what_is_not_sent() {
    run(async {
        let backend = Constant::new("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", false).await;
        let forwarder = forwarder(&[("921", &[backend.address])], &timeouts());
        for _ in 0..2 {
            let mut request = get("/");
            *request.method_mut() = Method::HEAD;
            let answer = forwarder.ask(request).await.unwrap();
            assert_eq!(answer.headers()["content-length"], "1234");
            assert_eq!(read(answer).await.unwrap().0, "");
        }
        assert_eq!(backend.connections.get(), 1);
    });
}

#[test]
fn a_body_that_ends_with_its_connection_is_whole() {
    run(async {
        let backend = Constant::new("HTTP/1.1 200 OK\r\n\r\nto the end", true).await;
        let forwarder = forwarder(&[("921", &[backend.address])], &timeouts());
        for _ in 0..2 {
            assert_eq!(read(forwarder.ask(get("/")).await.unwrap()).await.unwrap().0, "to the end");
        }
        assert_eq!(backend.connections.get(), 2);
    });
}

#[test]
fn an_answer_with_two_framings_keeps_the_one_that_was_read() {
    run(async {
        let said =
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        let backend = Constant::new(said, false).await;
        let answer = forwarder(&[("921", &[backend.address])], &timeouts()).ask(get("/")).await.unwrap();
        assert!(answer.headers().is_empty(), "{:?}", answer.headers());
        assert_eq!(read(answer).await.unwrap().0, "ok");
    });
}

#[test]
fn another_cafs_answer_is_not_given_out() {
    run(async {
        let peer = Peer::new().await;
        let forwarder = forwarder(&[("921", &[peer.address])], &timeouts());
        let answer = async {
            let mut conversation = peer.accept().await;
            conversation.head().await;
            conversation
                .say("HTTP/1.1 200 OK\r\nX-Caf-Code: 921\r\nX-Caf-Code: 751\r\nContent-Length: 2\r\n\r\nno")
                .await;
            conversation.closed().await;
        };
        let (answered, ()) = tokio::join!(forwarder.ask(get("/")), answer);
        let error = answered.err().unwrap();
        assert!(matches!(error.reason(), Reason::WrongCaf));
        assert_eq!((error.status(), error.caf()), (StatusCode::BAD_GATEWAY, "921".parse().unwrap()));
    });
}

#[test]
fn a_server_passes_on_what_it_reads_from_a_client() {
    run(async {
        let (front, peer) = (Peer::new().await, Peer::new().await);
        let forwarder: crate::forward::Forwarder<hyper::body::Incoming> =
            over(&[("921", &[peer.address])], &timeouts());
        let mut client = front.connect().await;
        let server = front.accept().await.into_stream();
        let service = hyper::service::service_fn(move |request| {
            let admitted = permit("921").escort(request, provenance());
            let forwarder = forwarder.clone();
            async move { forwarder.forward(admitted).await }
        });
        let io = hyper_util::rt::TokioIo::new(server);
        tokio::task::spawn_local(hyper::server::conn::http1::Builder::new().serve_connection(io, service));

        client
            .say("POST /a%2Fb? HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            .await;
        let mut backend = peer.accept().await;
        assert!(backend.head().await.starts_with("POST /a%2Fb? HTTP/1.1\r\n"));
        assert_eq!(backend.until("abc\r\n").await, "3\r\nabc\r\n");
        client.say("0\r\n\r\n").await;
        assert_eq!(backend.until("\r\n\r\n").await, "0\r\n\r\n");
        backend.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n").await;
        assert!(client.head().await.contains("\r\ntransfer-encoding: chunked\r\n"));
        // What a backend says reaches the client before the backend says more.
        client.until("2\r\nok\r\n").await;
        backend.say("0\r\n\r\n").await;
        client.until("0\r\n\r\n").await;

        client.say("GET /again HTTP/1.1\r\nHost: h\r\n\r\n").await;
        backend.head().await;
        backend.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart").await;
        client.until("part").await;
        drop(client);
        backend.closed().await;
    });
}
