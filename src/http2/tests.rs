use std::convert::Infallible;
use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;

/// Both ends of one stream, its connection running beside it.
struct Ends {
    answer: ResponseFuture,
    upload: SendStream<Bytes>,
    request: RecvStream,
    respond: SendResponse<Bytes>,
    client: h2::client::SendRequest<Bytes>,
}

async fn ends() -> Ends {
    let (near, far) = tokio::io::duplex(1 << 16);
    ends_over(near, far).await
}

async fn ends_over(near: DuplexStream, far: DuplexStream) -> Ends {
    let (client, server) = tokio::join!(h2::client::handshake(near), h2::server::handshake(far));
    let ((client, connection), mut server) = (client.expect("a client"), server.expect("a server"));
    tokio::spawn(async move { drop(connection.await) });
    let mut client = client.ready().await.expect("room for a stream");
    let asked = Request::post("http://a/").body(()).expect("a request");
    let (answer, upload) = client.send_request(asked, false).expect("a stream");
    let (request, respond) = server.accept().await.expect("a request").expect("a whole one");
    tokio::spawn(async move { while server.accept().await.is_some() {} });
    Ends { answer, upload, request: request.into_body(), respond, client }
}

#[tokio::test]
async fn a_body_that_is_reset_is_never_a_whole_one() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let Ends { mut upload, request, .. } = ends().await;
        upload.send_data(Bytes::from_static(b"la moiti"), false).expect("sent");
        let mut body = Received::new(request, &HeaderMap::new());
        let first = body.frame().await.expect("a frame").expect("whole");
        assert_eq!(first.into_data().expect("data"), "la moiti");
        upload.send_reset(reason);
        let end = body.frame().await.expect("an end that tells").expect_err("a broken one");
        assert_eq!(end.reason(), Some(reason));
    }
}

#[tokio::test]
async fn a_body_and_its_trailers_arrive_whole() {
    let Ends { mut upload, request, .. } = ends().await;
    let trailers = HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("fin"))]);
    let piece = Bytes::from(vec![7; 200_000]);
    let frames = [Frame::data(piece.clone()), Frame::data(Bytes::new()), Frame::trailers(trailers.clone())];
    let sent = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, Infallible>)));
    let (sent, got) = tokio::join!(
        send(sent, &mut upload, Duration::from_secs(5)),
        Received::new(request, &HeaderMap::new()).collect()
    );
    sent.expect("sent whole");
    let got = got.expect("got whole");
    assert_eq!(got.trailers(), Some(&trailers));
    assert_eq!(got.to_bytes(), piece);
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_given_up() {
    let Ends { mut upload, mut request, .. } = ends().await;
    // More than the window, of which nothing is given back.
    let body = StreamBody::new(futures_util::stream::repeat_with(|| {
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 1_024])))
    }));
    let given_up = send(body, &mut upload, Duration::from_millis(50)).await;
    assert!(matches!(given_up, Err(SendError::Stalled)), "{given_up:?}");
    let end = poll_fn(|cx| match request.poll_data(cx) {
        std::task::Poll::Ready(Some(Ok(_))) => {
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        }
        end => end,
    });
    assert_eq!(end.await.expect("it is told").expect_err("a reset").reason(), Some(Reason::CANCEL));
}

#[tokio::test]
async fn a_peer_hears_why_a_body_broke_off() {
    #[derive(Debug, thiserror::Error)]
    #[error("it broke")]
    struct Broken(#[source] h2::Error);
    type BoxError = Box<dyn std::error::Error + Send + Sync>;
    let error = |reason: Reason| BoxError::from(h2::Error::from(reason));
    for (broken, told) in [
        (error(Reason::REFUSED_STREAM), Reason::REFUSED_STREAM),
        (error(Reason::NO_ERROR), Reason::INTERNAL_ERROR),
        (Broken(Reason::CANCEL.into()).into(), Reason::CANCEL),
        ("the disk is gone".into(), Reason::INTERNAL_ERROR),
    ] {
        let Ends { mut upload, mut request, .. } = ends().await;
        let body = StreamBody::new(futures_util::stream::iter([Err::<Frame<Bytes>, _>(broken)]));
        assert!(matches!(send(body, &mut upload, Duration::from_secs(5)).await, Err(SendError::Body(_))));
        let end = poll_fn(|cx| request.poll_data(cx)).await.expect("it is told").expect_err("a reset");
        assert_eq!(end.reason(), Some(told));
    }
}

/// Much both ways at once, of which neither end reads anything before it has written all.
#[tokio::test]
async fn a_duplex_carries_more_than_a_window_both_ways() {
    let Ends { answer, upload, request, mut respond, client: _client } = ends().await;
    let far = respond.send_response(Response::new(()), false).expect("an answer");
    let near = answer.await.expect("an answer").into_body();
    let talk = async |recv, send| {
        let (mut from, mut to) = tokio::io::split(Duplex::new(recv, send));
        let write = async {
            to.write_all(&vec![1; 300_000]).await.expect("written");
            to.shutdown().await.expect("shut");
        };
        let mut read = Vec::new();
        let (read_all, ()) = tokio::join!(from.read_to_end(&mut read), write);
        read_all.expect("read");
        read.len()
    };
    assert_eq!(tokio::join!(talk(near, upload), talk(request, far)), (300_000, 300_000));
}

#[tokio::test]
async fn a_duplex_is_over_once_it_is_dropped() {
    let Ends { request, mut respond, answer: _answer, upload: _upload, client: _client } = ends().await;
    let mut duplex = Duplex::new(request, respond.send_response(Response::new(()), false).expect("sent"));
    let mut over = std::pin::pin!(duplex.over());
    assert!(poll_fn(|cx| std::task::Poll::Ready(over.as_mut().poll(cx).is_pending())).await);
    drop(duplex);
    over.await;
}

#[tokio::test]
async fn a_silent_peer_is_asked_and_cut_off_and_one_that_answers_is_not() {
    const SHORT: Duration = Duration::from_secs(1);
    for answers in [true, false] {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (near, lifeline) = Heard::new(near);
        let (client, server) = tokio::join!(
            h2::client::Builder::new().handshake::<_, Bytes>(near),
            h2::server::handshake::<DuplexStream>(far)
        );
        let ((_client, mut connection), mut server) = (client.expect("a client"), server.expect("a server"));
        let pings = connection.ping_pong();
        let listening = async {
            if answers {
                while server.accept().await.is_some() {}
            }
            std::future::pending::<()>().await;
        };
        let cut = tokio::select! {
            () = lifeline.cut(pings, SHORT, SHORT, || true) => true,
            _ = connection => unreachable!("nobody ends it"),
            () = listening => unreachable!("nor here"),
            () = tokio::time::sleep(SHORT * 4) => false,
        };
        assert_eq!(cut, !answers);
    }
}

#[tokio::test]
async fn a_length_that_is_said_is_known_before_the_first_piece() {
    let Ends { mut upload, request, .. } = ends().await;
    let head = HeaderMap::from_iter([(http::header::CONTENT_LENGTH, http::HeaderValue::from_static("5"))]);
    let body = Received::new(request, &head);
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(5), false));
    send(Full::new(Bytes::from_static(b"salut")), &mut upload, Duration::from_secs(5)).await.expect("sent");
    assert_eq!(body.collect().await.expect("whole").to_bytes(), "salut");
}
