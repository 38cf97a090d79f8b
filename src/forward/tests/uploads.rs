//! Bodies on their way to a backend.

use std::time::Duration;

use http::StatusCode;

use super::{OK, short};
use crate::forward::testing::*;
use crate::forward::{Fault, Reason};

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
                tokio::time::sleep(Duration::from_millis(150)).await;
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
            let (more, asked_more) = tokio::sync::oneshot::channel();
            let request = burst("part", asked_more, 900);
            let answer = async {
                let mut conversation = peer.accept().await;
                conversation.until("4\r\npart\r\n").await;
                conversation.say("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno").await;
                let kept = (!closes).then_some(conversation);
                // What follows meets a closed socket, before the runtime has heard of it.
                more.send(()).unwrap();
                kept
            };
            let (answered, _kept) = tokio::join!(forwarder.ask(request), answer);
            let answer = answered.unwrap();
            assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(read(answer).await.unwrap().0, "no");
        });
    }
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
