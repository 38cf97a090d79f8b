//! The forwarder against sockets: what a backend sees, and what becomes of what it does.

use std::time::Duration;

use http::{Method, StatusCode};
use http_body_util::BodyExt;

use super::testing::*;
use super::{Fault, Reason};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn short() -> crate::config::Backend {
    let limit = Duration::from_millis(150);
    crate::config::Backend { first_byte_timeout: limit, idle_timeout: limit, ..timeouts() }
}

#[test]
fn a_connection_serves_again() {
    for answer in [
        OK,
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        run(async move {
            let backend = Constant::new(answer, false).await;
            let forwarder = forwarder(&[("921", &[backend.address])], &timeouts());
            for _ in 0..3 {
                read(forwarder.ask(get("/")).await.unwrap()).await.unwrap();
                read(forwarder.ask(post("body")).await.unwrap()).await.unwrap();
            }
            assert_eq!((backend.connections.get(), backend.heads.borrow().len()), (1, 6), "{answer}");
        });
    }
}

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
            };
            let (answered, ()) = tokio::join!(forwarder.ask(request), answer);
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
fn a_post_does_not_meet_a_connection_that_the_backend_closed() {
    run(async {
        let backend = Constant::new(OK, true).await;
        let forwarder = forwarder(&[("921", &[backend.address])], &timeouts());
        for _ in 0..20 {
            read(forwarder.ask(post("small")).await.unwrap()).await.unwrap();
        }
        assert_eq!(backend.heads.borrow().len(), 20);
    });
}

#[test]
fn an_unused_connection_is_closed_in_time() {
    run(async {
        let peer = Peer::new().await;
        let keep_alive = Duration::from_millis(50);
        let backend = crate::config::Backend { keep_alive, ..timeouts() };
        let forwarder = forwarder(&[("921", &[peer.address])], &backend);
        let answer = async {
            let mut conversation = peer.accept().await;
            conversation.head().await;
            conversation.say(OK).await;
            conversation
        };
        let (answered, mut conversation) = tokio::join!(forwarder.ask(get("/")), answer);
        read(answered.unwrap()).await.unwrap();
        assert_eq!(conversation.closed().await, "");
    });
}

#[test]
fn a_client_that_goes_away_frees_the_backend() {
    run(async {
        let peer = Peer::new().await;
        let forwarder = forwarder(&[("921", &[peer.address])], &timeouts());
        let mut conversation = tokio::select! {
            _ = forwarder.ask(get("/")) => unreachable!("nothing was answered"),
            conversation = async {
                let mut conversation = peer.accept().await;
                conversation.head().await;
                conversation
            } => conversation,
        };
        conversation.closed().await;

        let answer = async {
            let mut conversation = peer.accept().await;
            conversation.head().await;
            conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\npart").await;
            conversation
        };
        let (answered, mut conversation) = tokio::join!(forwarder.ask(get("/")), answer);
        let mut body = answered.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "part");
        drop(body);
        conversation.closed().await;
    });
}

#[test]
fn what_is_no_answer_is_a_bad_gateway() {
    for said in [
        "",
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Caf",
    ] {
        run(async move {
            let backend = Constant::new(said, true).await;
            let forwarder = forwarder(&[("921", &[backend.address])], &timeouts());
            for request in [get("/"), post("once")] {
                let error = forwarder.ask(request).await.err().expect(said);
                assert!(
                    matches!(error.reason(), Reason::Broken(_) | Reason::BadAnswer(_)),
                    "{said:?}: {error}"
                );
                assert_eq!((error.status(), error.fault()), (StatusCode::BAD_GATEWAY, Fault::Backend));
            }
            assert_eq!(backend.heads.borrow().len(), 2, "{said:?}: nothing is sent twice");
        });
    }
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
fn a_hung_backend_is_late_and_no_other_cafs_problem() {
    run(async {
        let (hung, well) = (Peer::new().await, Constant::new(OK, false).await);
        let forwarder = forwarder(&[("921", &[hung.address]), ("751", &[well.address])], &short());
        let late = async {
            let error = forwarder.ask(get("/")).await.err().unwrap();
            assert!(matches!(error.reason(), Reason::FirstByteTimeout), "{error}");
            assert_eq!(error.status(), StatusCode::GATEWAY_TIMEOUT);
        };
        let other = async {
            for _ in 0..50 {
                read(forwarder.forward(admit("751", get("/"))).await.unwrap()).await.unwrap();
            }
        };
        let freed = async {
            let mut conversation = hung.accept().await;
            conversation.head().await;
            conversation.closed().await;
        };
        tokio::join!(late, other, freed);
        assert_eq!(well.connections.get(), 1);
    });
}

#[test]
fn an_answer_that_stops_is_cut_and_not_ended() {
    for (said, closes) in [("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", true), (OK, false)] {
        let said =
            if closes { said } else { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" };
        run(async move {
            let backend = Constant::new(said, closes).await;
            let answer = forwarder(&[("921", &[backend.address])], &short()).ask(get("/")).await.unwrap();
            let error = read(answer).await.unwrap_err();
            let late = error.downcast_ref::<super::Error>().map(super::Error::status);
            assert_eq!(late, (!closes).then_some(StatusCode::GATEWAY_TIMEOUT), "{error}");
        });
    }
}

#[test]
fn too_large_a_body_is_refused() {
    run(async {
        let peer = Peer::new().await;
        let forwarder = forwarder(&[("921", &[peer.address])], &timeouts());
        let known = forwarder.ask(post(Box::leak("x".repeat(1_001).into_boxed_str()))).await.err().unwrap();
        assert_eq!((known.status(), known.fault()), (StatusCode::PAYLOAD_TOO_LARGE, Fault::Client));
        let (sender, request) = upload();
        let feed = async {
            while sender.send(data("0123456789abcdef")).await.is_ok() {}
            peer.accept().await.closed().await
        };
        let (answered, sent) = tokio::join!(forwarder.ask(request), feed);
        assert!(matches!(answered.err().unwrap().reason(), Reason::BodyTooLarge));
        assert!(!sent.contains("0\r\n\r\n"));
    });
}

#[test]
fn an_upload_that_breaks_off_is_the_clients_fault() {
    run(async {
        let peer = Peer::new().await;
        let forwarder = forwarder(&[("921", &[peer.address])], &short());
        let (sender, request) = upload();
        let broken = async {
            sender.send(data("part")).await.unwrap();
            sender.send(Err("reset".into())).await.unwrap();
        };
        let (answered, ()) = tokio::join!(forwarder.ask(request), broken);
        assert!(matches!(answered.err().unwrap().reason(), Reason::ClientBody));
        let (sender, request) = upload();
        sender.send(data("part")).await.unwrap();
        let stalled = forwarder.ask(request).await.err().unwrap();
        assert!(matches!(stalled.reason(), Reason::ClientBody), "{stalled}");
        assert_eq!(stalled.status(), StatusCode::BAD_REQUEST);
    });
}

#[test]
fn a_long_upload_is_not_cut_while_it_flows() {
    run(async {
        let backend = Peer::new().await;
        let forwarder = forwarder(&[("921", &[backend.address])], &short());
        let (sender, request) = upload();
        let feed = async move {
            for _ in 0..10 {
                sender.send(data("slowly")).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let answer = async {
            let mut conversation = backend.accept().await;
            conversation.until("0\r\n\r\n").await;
            conversation.say(OK).await;
        };
        let (answered, (), ()) = tokio::join!(forwarder.ask(request), feed, answer);
        assert_eq!(read(answered.unwrap()).await.unwrap().0, "ok");
    });
}

#[test]
fn an_answer_before_the_upload_ends_is_heard() {
    for closes in [true, false] {
        run(async move {
            let peer = Peer::new().await;
            let forwarder = forwarder(&[("921", &[peer.address])], &timeouts());
            let (sender, request) = upload();
            let answer = async {
                let mut conversation = peer.accept().await;
                conversation.until("4\r\npart\r\n").await;
                conversation.say("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno").await;
                (!closes).then_some(conversation)
            };
            let feed = async {
                // What follows meets a closed socket, without a turn of the runtime to hear of it.
                for _ in 0..4 {
                    let _ = sender.send(data("part")).await;
                }
            };
            let (answered, _conversation, ()) = tokio::join!(forwarder.ask(request), answer, feed);
            let answer = answered.unwrap();
            assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(read(answer).await.unwrap().0, "no");
        });
    }
}

#[test]
fn a_connection_is_free_again_once_a_late_upload_ends() {
    run(async {
        let peer = Peer::new().await;
        let forwarder = forwarder(&[("921", &[peer.address])], &timeouts());
        let (sender, request) = upload();
        let answer = async {
            let mut conversation = peer.accept().await;
            conversation.head().await;
            conversation.say(OK).await;
            conversation
        };
        let (answered, mut conversation) = tokio::join!(forwarder.ask(request), answer);
        read(answered.unwrap()).await.unwrap();
        drop(sender);
        conversation.until("0\r\n\r\n").await;
        let again = async {
            conversation.head().await;
            conversation.say(OK).await;
        };
        // The connection is given back by a task of its own, so ask until it is.
        let ask = async { while forwarder.ask(get("/")).await.is_err() {} };
        tokio::select! {
            ((), ()) = async { tokio::join!(ask, again) } => {}
            _ = peer.accept() => panic!("a second connection was opened"),
        }
    });
}

#[test]
fn a_body_waits_for_the_backend_to_want_it() {
    run(async {
        let peer = Peer::new().await;
        let forwarder = forwarder(&[("921", &[peer.address])], &timeouts());
        for wanted in [true, false] {
            let mut request = post("wanted");
            request.headers_mut().insert("expect", "100-continue".parse().unwrap());
            let answer = async {
                let mut conversation = peer.accept().await;
                assert!(conversation.head().await.contains("\r\nexpect: 100-continue\r\n"));
                if wanted {
                    conversation.say("HTTP/1.1 100 Continue\r\n\r\n").await;
                    conversation.until("wanted").await;
                    conversation
                        .say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                        .await;
                } else {
                    conversation.say("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n").await;
                    assert_eq!(conversation.closed().await, "");
                }
            };
            let ask = async { read(forwarder.ask(request).await.unwrap()).await.unwrap() };
            tokio::join!(ask, answer);
        }
    });
}

#[test]
fn the_next_instance_is_asked_when_one_takes_no_connection() {
    run(async {
        let (gone, well) = (Peer::new().await.address, Constant::new(OK, false).await);
        let several = forwarder(&[("921", &[gone, well.address])], &timeouts());
        for _ in 0..6 {
            read(several.ask(post("x")).await.unwrap()).await.unwrap();
        }
        let error = forwarder(&[("921", &[gone])], &timeouts()).ask(get("/")).await.err().unwrap();
        assert!(matches!(error.reason(), Reason::Connect(_)));
        assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
        let error = several.forward(admit("751", get("/"))).await.err().unwrap();
        assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
    });
}

#[test]
fn instances_share_the_work() {
    run(async {
        let (one, two) = (Constant::new(OK, false).await, Constant::new(OK, false).await);
        let forwarder = forwarder(&[("921", &[one.address, two.address])], &timeouts());
        for _ in 0..10 {
            read(forwarder.ask(get("/")).await.unwrap()).await.unwrap();
        }
        assert_eq!((one.heads.borrow().len(), two.heads.borrow().len()), (5, 5));
    });
}
