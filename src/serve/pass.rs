//! A response that is for one client only, streamed from the origin as it comes.

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use tokio::sync::mpsc;

use super::body::{BodyError, Source};
use super::deliver::{Representation, deliver, not_modified, reduce_to_304};
use super::outcome::{Answer, FetchFacts};
use super::survival::sampler::Kept;
use super::worker::Worker;
use crate::origin::request::body::OriginBody;
use crate::origin::request::fetch::Fetched;
use crate::origin::request::incoming::Framing;
use crate::semantics::cache_status::CacheStatusMember;
use crate::semantics::forwarding;
use crate::semantics::validator::{Precondition, evaluate};

/// The response to a request that no other request shares. With `conditions`, the client's preconditions have not been
/// sent to the origin and are evaluated here.
pub fn pass(
    worker: &Worker,
    method: &Method,
    conditions: Option<&HeaderMap>,
    fetched: Box<Fetched>,
    member: CacheStatusMember,
) -> Answer {
    let (facts, version) = (FetchFacts::of(&fetched), fetched.version);
    let mut headers = fetched.headers.clone();
    forwarding::remove_hop_by_hop(&mut headers);
    let length = match fetched.framing {
        Framing::Length(length) => Some(length),
        // What a 304 or the answer to HEAD states is the length that another response would have.
        Framing::Bodiless if *method == Method::HEAD => stated_length(&headers),
        Framing::Bodiless => Some(0),
        Framing::Chunked | Framing::Close => None,
    };
    headers.remove(header::CONTENT_LENGTH);
    let is_known = conditions
        .is_some_and(|request| evaluate(method, request, fetched.status, &headers) == Precondition::NotModified);
    let response = if is_known {
        reduce_to_304(&mut headers);
        not_modified(headers)
    } else {
        let representation = Representation { status: fetched.status, headers, length };
        // A range would have to be cut out of a stream that starts at its beginning; the whole is a valid answer.
        deliver(method, None, representation, |_| stream(worker, fetched))
    };
    let member = CacheStatusMember { forward_status: Some(facts.status), ..member };
    let kept = Kept::AsFound;
    Answer {
        response,
        version,
        cache: Some(member),
        age: None,
        origin: None,
        fetched: Some(facts),
        kept,
        is_dressed: false,
    }
}

fn stated_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads the body in a task of its own, a few pieces ahead of the client.
fn stream(worker: &Worker, fetched: Box<Fetched>) -> Source {
    if fetched.framing == Framing::Bodiless {
        return Source::Empty;
    }
    let (sender, receiver) = mpsc::channel::<Result<Bytes, BodyError>>(PIECES_AHEAD);
    worker.tasks.spawn(pump(fetched.body, sender));
    Source::Origin(receiver)
}

/// Hands on a body until it ends or nobody takes it any more.
pub(super) async fn pump(mut body: OriginBody, sender: mpsc::Sender<Result<Bytes, BodyError>>) {
    loop {
        let read = tokio::select! {
            // In this order, so that a body that is all there is proven, though its client need not wait for that.
            biased;
            read = body.next() => read,
            () = sender.closed() => return,
        };
        let Some(read) = read else { return };
        if sender.send(read.map_err(|_| BodyError)).await.is_err() {
            return;
        }
    }
}

/// Pieces that wait between whoever reads them and whoever writes them, each of which has another one in hand.
pub(super) const PIECES_AHEAD: usize = 1;
