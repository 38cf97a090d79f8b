//! How connections are kept, shared out and closed.

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;

use super::OK;
use crate::forward::Reason;
use crate::forward::testing::*;

#[test]
fn a_connection_serves_again() {
    for answer in [
        OK,
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
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
fn a_post_does_not_meet_a_connection_that_the_backend_closed() {
    run(async {
        let peer = Peer::new().await;
        let forwarder = forwarder(&[("921", &[peer.address])], &timeouts());
        let answer = async {
            let mut conversation = peer.accept().await;
            conversation.until("once").await;
            conversation.say(OK).await;
            conversation
        };
        let (answered, conversation) = tokio::join!(forwarder.ask(post("once")), answer);
        read(answered.unwrap()).await.unwrap();
        // The runtime has no turn between the close and the next request.
        drop(conversation);
        let again = async {
            let mut conversation = peer.accept().await;
            conversation.until("once").await;
            conversation.say(OK).await;
            conversation
        };
        let (answered, _) = tokio::join!(forwarder.ask(post("once")), again);
        read(answered.unwrap()).await.unwrap();
    });
}

#[test]
fn a_backend_that_closes_each_connection_is_asked_on_new_ones() {
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
fn an_unused_connection_that_the_backend_closes_is_closed_soon() {
    run(async {
        let peer = Peer::new().await;
        let forwarder = forwarder(&[("921", &[peer.address])], &timeouts());
        let answer = async {
            let mut conversation = peer.accept().await;
            conversation.head().await;
            conversation.say(OK).await;
            conversation
        };
        let (answered, conversation) = tokio::join!(forwarder.ask(get("/")), answer);
        read(answered.unwrap()).await.unwrap();
        let (mut read, mut write) = conversation.into_stream().into_split();
        // The backend's side is closed; the gateway's own is, once it has heard of it.
        tokio::io::AsyncWriteExt::shutdown(&mut write).await.unwrap();
        let end = tokio::io::AsyncReadExt::read(&mut read, &mut [0; 16]).await;
        assert_eq!(end.unwrap_or(0), 0);
    });
}

#[test]
fn what_is_said_after_an_answer_is_nobodys() {
    for surplus in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        run(async move {
            let backend = Constant::new(surplus, false).await;
            let forwarder = forwarder(&[("921", &[backend.address])], &timeouts());
            for _ in 0..3 {
                let (body, _) = read(forwarder.ask(get("/")).await.unwrap()).await.unwrap();
                assert!(["", "ok"].contains(&body.as_str()), "{body}");
            }
            assert_eq!(backend.connections.get(), 3, "{surplus}");
        });
    }
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
        for _ in 0..200 {
            read(forwarder.ask(get("/")).await.unwrap()).await.unwrap();
        }
        let (one, two) = (one.heads.borrow().len(), two.heads.borrow().len());
        assert!(one > 60 && two > 60 && one + two == 200, "{one} {two}");
    });
}
