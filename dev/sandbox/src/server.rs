//! An HTTP/1.1 accept loop that can close a connection without an answer.
//!
//! `axum::serve` always answers. A provider that dies in the middle of a request does not, and that is the case in which a client
//! cannot know whether the work was done; fault rules need it. A handler asks for it with [`drop_connection`].

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// Extension of a response that must not be sent.
#[derive(Clone, Copy)]
struct DropConnection;

/// A response that closes the connection with no byte written.
pub fn drop_connection() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(DropConnection);
    response
}

/// Accepts connections until it is dropped; dropping it closes the connections it accepted.
pub async fn serve_router(listener: TcpListener, router: Router) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, router.clone()));
                }
                // Out of file descriptors, or the peer is gone already: neither is a reason to stop serving.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, router: Router) {
    // Small answers must not wait for Nagle's algorithm; a failure here only costs time.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            // A task of its own: whoever gives up waiting for the answer does not undo the request, as with a real server.
            let answered: Result<Result<Response, Infallible>, _> = tokio::spawn(router.oneshot(request.map(Body::new))).await;
            match answered {
                Ok(Ok(response)) if response.extensions().get::<DropConnection>().is_none() => Ok(response),
                Ok(Err(never)) => match never {},
                // The drop that was asked for, or a handler that panicked.
                Ok(Ok(_)) | Err(_) => Err(Dropped),
            }
        }
    });
    // The error is a client that went away, or the drop that was asked for.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

#[derive(Debug)]
struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closed without an answer, as a fault rule asked")
    }
}

impl std::error::Error for Dropped {}
