//! What becomes of what fails, stops or hangs.

use http::StatusCode;

use super::{OK, short};
use crate::forward::testing::*;
use crate::forward::{Fault, Reason};

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
            let late = error.downcast_ref::<crate::forward::Error>().map(crate::forward::Error::status);
            assert_eq!(late, (!closes).then_some(StatusCode::GATEWAY_TIMEOUT), "{error}");
        });
    }
}

#[test]
fn each_request_on_a_kept_connection_has_its_whole_time() {
    run(async {
        let peer = Peer::new().await;
        // Twice as long as each answer takes: a busy machine may stop for a while.
        let limit = std::time::Duration::from_secs(2);
        let times = crate::config::Times { first_byte: limit, ..timeouts().times };
        let backend = crate::config::Backend { times, ..timeouts() };
        let forwarder = forwarder(&[("921", &[peer.address])], &backend);
        let answers = async {
            let mut conversation = peer.accept().await;
            for _ in 0..3 {
                conversation.head().await;
                tokio::time::sleep(limit / 2).await;
                conversation.say(OK).await;
            }
            conversation.head().await;
            let began = tokio::time::Instant::now();
            conversation.closed().await;
            began.elapsed()
        };
        let asks = async {
            for _ in 0..3 {
                read(forwarder.ask(get("/")).await.unwrap()).await.unwrap();
            }
            forwarder.ask(get("/")).await.err().unwrap()
        };
        let (late, error) = tokio::join!(answers, asks);
        assert!(matches!(error.reason(), Reason::FirstByteTimeout), "{error}");
        assert!(late >= limit * 9 / 10, "cut after {late:?}");
    });
}
