//! A body whose other side may pause, but not for long: what stands still holds a connection here
//! and one at a media service.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// Nothing came for a while.
    #[error("nothing came for a while")]
    Idle,
    /// The connection that it came from broke.
    #[error("the body did not come to its end")]
    Broken(#[source] axum::Error),
}

/// A [`BodyError`], for those who did not get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// See there.
    Idle,
    /// See there.
    Broken,
}

/// A body that is looked at while it is on its way; clones share it, and one of them reads it.
#[derive(Clone)]
pub(super) struct Watched {
    shared: Arc<Mutex<State>>,
}

struct State {
    body: Body,
    patience: Duration,
    /// Made once it is needed.
    deadline: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    is_touched: bool,
    /// How it failed: nobody who was to have it is to blame.
    failed: Option<Failed>,
    moved: Instant,
    /// Told how many bytes have passed.
    count: fn(usize),
}

impl Watched {
    /// Watches a body that may stand still for `patience`; `count` is told of every part.
    pub(super) fn new(body: Body, patience: Duration, count: fn(usize)) -> Self {
        let state = State {
            body,
            patience,
            deadline: None,
            is_waiting: false,
            is_touched: false,
            failed: None,
            moved: Instant::now(),
            count,
        };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    /// Whether somebody has begun to read it: then it cannot be sent again.
    pub(super) fn is_touched(&self) -> bool {
        self.lock().is_touched
    }

    /// How it failed, if it did.
    pub(super) fn failed(&self) -> Option<Failed> {
        self.lock().failed
    }

    /// When it last moved.
    pub(super) fn moved(&self) -> Instant {
        self.lock().moved
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = self.lock();
        state.is_touched = true;
        let polled = match Pin::new(&mut state.body).poll_frame(context) {
            Poll::Ready(frame) => {
                state.is_waiting = false;
                state.moved = Instant::now();
                if let Some(Ok(frame)) = &frame
                    && let Some(data) = frame.data_ref()
                {
                    (state.count)(data.len());
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending => state.wait(context),
        };
        match &polled {
            Poll::Ready(Some(Err(BodyError::Idle))) => state.failed = Some(Failed::Idle),
            Poll::Ready(Some(Err(BodyError::Broken(_)))) => state.failed = Some(Failed::Broken),
            Poll::Ready(Some(Ok(_)) | None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.lock().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().body.size_hint()
    }
}

impl State {
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let ends = Instant::now() + self.patience;
        let deadline =
            self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(ends)));
        if !std::mem::replace(&mut self.is_waiting, true) {
            deadline.as_mut().reset(ends);
        }
        deadline.as_mut().poll(context).map(|()| Some(Err(BodyError::Idle)))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::sync::mpsc;

    use super::*;

    /// A body of what is sent, and its sender.
    fn body() -> (mpsc::Sender<&'static str>, Body) {
        let (sender, mut parts) = mpsc::channel(1);
        let parts = futures_util::stream::poll_fn(move |context| {
            parts.poll_recv(context).map(|part| part.map(Ok::<_, std::io::Error>))
        });
        (sender, Body::from_stream(parts))
    }

    #[tokio::test(start_paused = true)]
    async fn who_pauses_is_waited_for_and_who_stands_still_is_not() {
        let patience = Duration::from_secs(30);
        let (sender, body) = body();
        let mut watched = Watched::new(body, patience, |_| {});
        assert!(!watched.is_touched());
        let begun = Instant::now();
        let sending = async {
            for _ in 0..3 {
                tokio::time::sleep(patience - Duration::from_secs(1)).await;
                sender.send("part").await.expect("somebody reads");
            }
        };
        let reading = async {
            for _ in 0..3 {
                let frame = watched.frame().await.expect("a part").expect("in time");
                assert_eq!(frame.data_ref().map(|data| &data[..]), Some(&b"part"[..]));
            }
            watched.frame().await
        };
        let ((), end) = tokio::join!(sending, reading);
        assert!(matches!(end, Some(Err(BodyError::Idle))), "{end:?}");
        assert!(watched.is_touched());
        assert_eq!(watched.failed(), Some(Failed::Idle));
        let stood = begun.elapsed().saturating_sub(watched.moved().duration_since(begun));
        assert_eq!(stood, patience);
    }
}
