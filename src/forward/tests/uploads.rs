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

#[test]
fn an_upload_is_taken_no_faster_than_the_backend_reads() {
    run(async {
        let peer = Peer::new().await;
        let forwarder: crate::forward::Forwarder<TestBody> = roomy(&[("921", &[peer.address])], &short());
        let (sender, request) = upload();
        let (piece, taken) = (Box::leak("x".repeat(1_024).into_boxed_str()), std::cell::Cell::new(0));
        let feed = async {
            while sender.send(data(piece)).await.is_ok() {
                taken.set(taken.get() + 1);
            }
        };
        // The sockets between hold some megabytes, and a hundred would be taken in the time.
        let deaf = async {
            let conversation = peer.accept().await;
            std::future::pending::<()>().await;
            drop(conversation);
        };
        let answered = tokio::select! {
            answered = async { tokio::join!(forwarder.ask(request), feed).0 } => answered,
            () = deaf => unreachable!(),
        };
        assert!(matches!(answered.err().unwrap().reason(), Reason::FirstByteTimeout));
        assert!(taken.get() < 20 * 1_024, "{} pieces", taken.get());
    });
}

#[test]
fn pieces_of_all_sizes_arrive_whole() {
    run(async {
        let peer = Peer::new().await;
        let forwarder: crate::forward::Forwarder<TestBody> = roomy(&[("921", &[peer.address])], &timeouts());
        let (sender, request) = upload();
        let sizes = [1, 4_096, 4_097, 70_000, 3, 500_000];
        let feed = async {
            for size in sizes {
                sender.send(data(Box::leak("x".repeat(size).into_boxed_str()))).await.unwrap();
            }
            drop(sender);
        };
        let answer = async {
            let mut conversation = peer.accept().await;
            conversation.head().await;
            // By then the sockets between are full.
            tokio::time::sleep(Duration::from_millis(100)).await;
            for size in sizes {
                assert_eq!(conversation.until("\r\n").await, format!("{size:x}\r\n"));
                assert_eq!(conversation.until("\r\n").await.len(), size + 2);
            }
            assert_eq!(conversation.until("\r\n\r\n").await, "0\r\n\r\n");
            conversation.say(OK).await;
        };
        let (answered, (), ()) = tokio::join!(forwarder.ask(request), feed, answer);
        assert_eq!(read(answered.unwrap()).await.unwrap().0, "ok");
    });
}

/// A client may send all before it reads anything, and again.
#[test]
fn an_upload_goes_on_though_nobody_reads_its_answer() {
    run(async {
        let peer = Peer::new().await;
        let forwarder = forwarder(&[("921", &[peer.address])], &timeouts());
        let answers = async {
            let mut conversation = peer.accept().await;
            for _ in 0..3 {
                conversation.head().await;
                conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
                conversation.until("0\r\n\r\n").await;
                conversation.say("whole").await;
            }
            peer.accept().await;
        };
        let asks = async {
            for _ in 0..3 {
                let (sender, request) = upload();
                let answer = forwarder.ask(request).await.unwrap();
                for _ in 0..20 {
                    sender.send(data("piece")).await.unwrap();
                }
                drop(sender);
                assert_eq!(read(answer).await.unwrap().0, "whole");
            }
        };
        tokio::select! {
            () = asks => {}
            () = answers => panic!("a second connection was opened"),
        }
    });
}

/// An answer may be over before its request is, and the connection serves again all the same.
#[test]
fn a_late_upload_does_not_cost_its_connection() {
    run(async {
        let peer = Peer::new().await;
        let forwarder = forwarder(&[("921", &[peer.address])], &timeouts());
        let (told, mut ended) = tokio::sync::mpsc::channel(1);
        let answers = async {
            let mut conversation = peer.accept().await;
            for _ in 0..3 {
                conversation.head().await;
                conversation.say(OK).await;
                conversation.until("0\r\n\r\n").await;
                told.send(()).await.unwrap();
            }
            peer.accept().await;
        };
        let asks = async {
            for _ in 0..3 {
                let (sender, request) = upload();
                read(forwarder.ask(request).await.unwrap()).await.unwrap();
                for _ in 0..20 {
                    sender.send(data("piece")).await.unwrap();
                }
                drop(sender);
                ended.recv().await.unwrap();
                // By a task of its own it is given back.
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = asks => {}
            () = answers => panic!("a second connection was opened"),
        }
    });
}

/// What is known of a body may change until it is sent, and what its head says may not.
#[test]
fn a_body_that_turns_out_empty_has_its_last_chunk() {
    struct Waning(std::cell::Cell<u8>);
    impl http_body::Body for Waning {
        type Data = bytes::Bytes;
        type Error = crate::forward::BoxError;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
            std::task::Poll::Ready(None)
        }
        fn size_hint(&self) -> http_body::SizeHint {
            let asked = self.0.replace(self.0.get().saturating_add(1));
            if asked < 2 { http_body::SizeHint::default() } else { http_body::SizeHint::with_exact(0) }
        }
    }
    run(async {
        let peer = Peer::new().await;
        let forwarder: crate::forward::Forwarder<Waning> = over(&[("921", &[peer.address])], &timeouts());
        let request = http::Request::post("/").header("host", "a").body(Waning(std::cell::Cell::new(0)));
        let answer = async {
            let mut conversation = peer.accept().await;
            assert!(conversation.head().await.contains("\r\ntransfer-encoding: chunked\r\n"));
            conversation.until("0\r\n\r\n").await;
            conversation.say(OK).await;
            conversation
        };
        let admitted = permit("921").escort(request.unwrap(), provenance());
        let (answered, _conversation) = tokio::join!(forwarder.forward(admitted), answer);
        assert_eq!(answered.unwrap().status(), StatusCode::OK);
    });
}
