//! The body of an answer as a script of steps: bytes to send, pauses, and how it ends. hyper plays it; resetting the connection
//! is left to the switch that the connection's `Line` looks at when it is dropped.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::behaviour::Behaviour;

/// Long enough that what was sent has left before the connection is cut.
const BEFORE_CUT: Duration = Duration::from_millis(10);

/// Set: the connection ends with RST instead of FIN.
#[derive(Clone, Default)]
pub struct ResetSwitch(Arc<AtomicBool>);

impl ResetSwitch {
    pub fn on(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts an answer as in flight until it is dropped.
pub struct InFlight(Arc<AtomicU64>);

impl InFlight {
    pub fn enter(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How the bytes end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Clean,
    /// Closed (FIN) though more was announced.
    Short,
    Reset,
}

#[derive(Debug, PartialEq)]
enum Step {
    Send(Bytes),
    /// Hand what was sent to the kernel before going on.
    Flush,
    Wait(Duration),
    Close,
    Reset,
}

/// An answer's body.
pub struct Script {
    content: Content,
    switch: ResetSwitch,
    _in_flight: Option<InFlight>,
}

enum Content {
    /// Of known length, sent at once.
    Whole(Option<Bytes>),
    Steps(std::vec::IntoIter<Step>, Option<Pin<Box<Sleep>>>),
}

impl Script {
    /// Bytes with a `content-length`, at once.
    pub fn whole(bytes: Bytes) -> Self {
        Self { content: Content::Whole(Some(bytes)), switch: ResetSwitch::default(), _in_flight: None }
    }

    /// Pieces one after the other, paused and cut as `behaviour` says.
    pub fn pieces(pieces: Vec<Bytes>, end: End, behaviour: &Behaviour, switch: &ResetSwitch) -> Self {
        let steps = steps(pieces, end, behaviour).into_iter();
        Self { content: Content::Steps(steps, None), switch: switch.clone(), _in_flight: None }
    }

    pub fn counted(mut self, in_flight: InFlight) -> Self {
        self._in_flight = Some(in_flight);
        self
    }
}

fn steps(pieces: Vec<Bytes>, end: End, behaviour: &Behaviour) -> Vec<Step> {
    let pieces = match behaviour.chunk_bytes {
        Some(size) => cut(pieces.concat().into(), size),
        None => pieces,
    };
    let pause = Duration::from_millis(behaviour.chunk_delay_ms);
    let mut steps = Vec::with_capacity(pieces.len().saturating_mul(2));
    for piece in pieces {
        if !steps.is_empty() && !pause.is_zero() {
            steps.push(Step::Wait(pause));
        } else if !steps.is_empty() && behaviour.chunk_bytes.is_some() {
            steps.push(Step::Flush);
        }
        steps.push(Step::Send(piece));
    }
    match end {
        End::Clean => {}
        End::Short => steps.extend([Step::Wait(BEFORE_CUT), Step::Close]),
        End::Reset => steps.extend([Step::Wait(BEFORE_CUT), Step::Reset]),
    }
    steps
}

fn cut(mut bytes: Bytes, size: usize) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        pieces.push(bytes.split_to(size.min(bytes.len())));
    }
    pieces
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let (steps, sleeping) = match &mut this.content {
            Content::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Steps(steps, sleeping) => (steps, sleeping),
        };
        loop {
            if let Some(sleep) = sleeping {
                std::task::ready!(sleep.as_mut().poll(context));
                *sleeping = None;
            }
            match steps.next() {
                None => return Poll::Ready(None),
                Some(Step::Send(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Step::Flush) => {
                    // hyper flushes whenever the body has nothing ready.
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Wait(time)) => *sleeping = Some(Box::pin(sleep(time))),
                Some(Step::Reset) => {
                    this.switch.on();
                    return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
                }
                Some(Step::Close) => return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Content::Steps(..) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_the_orders() {
        let pieces = || vec![Bytes::from("abc"), Bytes::from("de")];
        let send = |text: &'static str| Step::Send(Bytes::from(text));
        let wait = || Step::Wait(Duration::from_millis(5));
        for (orders, end, want) in [
            ("{}", End::Clean, vec![send("abc"), send("de")]),
            (r#"{"chunk_delay_ms":5}"#, End::Clean, vec![send("abc"), wait(), send("de")]),
            (r#"{"chunk_bytes":2}"#, End::Clean, vec![send("ab"), Step::Flush, send("cd"), Step::Flush, send("e")]),
            (r#"{"chunk_bytes":4,"chunk_delay_ms":5}"#, End::Clean, vec![send("abcd"), wait(), send("e")]),
            ("{}", End::Reset, vec![send("abc"), send("de"), Step::Wait(BEFORE_CUT), Step::Reset]),
            ("{}", End::Short, vec![send("abc"), send("de"), Step::Wait(BEFORE_CUT), Step::Close]),
        ] {
            assert_eq!(steps(pieces(), end, &Behaviour::from_json(orders).unwrap()), want, "{orders} {end:?}");
        }
    }
}
