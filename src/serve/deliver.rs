//! From a representation to the response this client asked for: 304, range, HEAD.

use http::{HeaderMap, HeaderName, Method, Response, StatusCode, header};

use super::body::{ResponseBody, Source};
use super::parts::Parts;
use crate::semantics::content_range::{content_range, unsatisfied};
use crate::semantics::field::decimal_value;
use crate::semantics::range::{self, RangeAnswer};
use crate::semantics::transformation::DIGESTS;

/// A selected representation, its body not yet opened.
#[derive(Debug)]
pub struct Representation {
    /// Status it was received with.
    pub status: StatusCode,
    /// End-to-end fields; there may be the length of the whole body.
    pub headers: HeaderMap,
    /// Length of the whole body in bytes, when it is known.
    pub length: Option<u64>,
}

/// The response to a request of `method` that the client has no representation for yet; `ranged` are the request's fields, if
/// they may ask for a range. `open` opens the body at an offset; a body that can only be opened at its start has an unknown
/// length.
pub fn deliver(
    method: &Method,
    ranged: Option<&HeaderMap>,
    representation: Representation,
    open: impl FnOnce(u64) -> Source,
) -> Response<ResponseBody> {
    let Representation { status, mut headers, length } = representation;
    let Some(length) = length else {
        if *method == Method::HEAD {
            remove(&mut headers, &CONTENT_DIGESTS);
            return with(status, headers, ResponseBody::empty());
        }
        return with(status, headers, ResponseBody::new(open(0), None));
    };
    if *method == Method::HEAD {
        remove(&mut headers, &CONTENT_DIGESTS);
        state_length(&mut headers, status, length);
        return with(status, headers, ResponseBody::empty());
    }
    let answer = match ranged {
        Some(request) if status == StatusCode::OK => range::answer(request, &headers, length),
        Some(_) | None => RangeAnswer::Whole,
    };
    answer_range(answer, status, headers, length, open)
}

/// States the length of a whole body. RFC 9110 §8.6: no Content-Length "in any response with a status code of […] 204 (No
/// Content)".
pub fn state_length(headers: &mut HeaderMap, status: StatusCode, length: u64) {
    if status != StatusCode::NO_CONTENT {
        headers.insert(header::CONTENT_LENGTH, decimal_value(length));
    }
}

/// The response with all of a body of `length` bytes, with parts of it, or with none.
fn answer_range(
    answer: RangeAnswer,
    status: StatusCode,
    mut headers: HeaderMap,
    length: u64,
    open: impl FnOnce(u64) -> Source,
) -> Response<ResponseBody> {
    match answer {
        RangeAnswer::Whole => with(status, headers, ResponseBody::new(open(0), Some(length))),
        RangeAnswer::Part(part) => {
            headers.remove(header::CONTENT_LENGTH);
            remove(&mut headers, &CONTENT_DIGESTS);
            headers.insert(header::CONTENT_RANGE, content_range(part, length));
            with(StatusCode::PARTIAL_CONTENT, headers, ResponseBody::new(open(part.first), Some(part.length())))
        }
        RangeAnswer::Parts(parts) => match Parts::new(open(0), parts, headers.get(header::CONTENT_TYPE), length) {
            Ok(parts) => {
                // "a server MUST NOT generate a Content-Range header field in the HTTP header section of a multiple part
                // response (this field will be sent in each part instead)" (RFC 9110 §15.3.7.2).
                headers.insert(header::CONTENT_TYPE, parts.content_type());
                headers.remove(header::CONTENT_LENGTH);
                remove(&mut headers, &CONTENT_DIGESTS);
                let bytes = parts.length();
                with(StatusCode::PARTIAL_CONTENT, headers, ResponseBody::new(Source::Parts(parts.into()), Some(bytes)))
            }
            Err(source) => with(status, headers, ResponseBody::new(source, Some(length))),
        },
        RangeAnswer::Unsatisfiable => {
            headers.remove(header::CONTENT_LENGTH);
            headers.insert(header::CONTENT_RANGE, unsatisfied(length));
            // There is no content that they could describe.
            remove(&mut headers, &[header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::CONTENT_TYPE]);
            remove(&mut headers, &DIGESTS);
            with(StatusCode::RANGE_NOT_SATISFIABLE, headers, ResponseBody::empty())
        }
    }
}

/// The 304 that stands for a response, with the fields that [`reduce_to_304`] has left of those.
pub fn not_modified(headers: HeaderMap) -> Response<ResponseBody> {
    with(StatusCode::NOT_MODIFIED, headers, ResponseBody::empty())
}

/// Takes from the fields of a response what its 304 does not need. RFC 9110 §15.4.5: "a sender SHOULD NOT generate
/// representation metadata other than the above listed fields".
pub fn reduce_to_304(headers: &mut HeaderMap) {
    remove(
        headers,
        &[
            header::CONTENT_ENCODING,
            header::CONTENT_LANGUAGE,
            header::CONTENT_LENGTH,
            header::CONTENT_RANGE,
            header::CONTENT_TYPE,
        ],
    );
    remove(headers, &CONTENT_DIGESTS);
    if headers.contains_key(header::ETAG) {
        headers.remove(header::LAST_MODIFIED);
    }
}

fn remove(headers: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        headers.remove(name);
    }
}

fn with(status: StatusCode, headers: HeaderMap, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// "digests that are calculated using a hashing algorithm applied to the actual message content" (RFC 9530 §2), which of a
/// part is another one, and of a response without content that of nothing.
const CONTENT_DIGESTS: [HeaderName; 2] =
    [HeaderName::from_static("content-digest"), HeaderName::from_static("content-md5")];
