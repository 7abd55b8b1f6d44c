//! Several parts of one body in a response: multipart/byteranges (RFC 9110 §14.6, §15.3.7.2).

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderValue;

use super::body::{BodyError, Source};
use crate::cache::content::StoredContent;
use crate::cache::fill::FillReader;
use crate::origin::request::fetch::FetchError;
use crate::semantics::content_range::content_range;
use crate::semantics::range::Part;

/// Yields the parts one after another, each behind a head of its own; bytes of the body are never copied.
#[derive(Debug)]
pub struct Parts {
    body: Body,
    boundary: String,
    pieces: VecDeque<Piece>,
}

/// A body that can be read from anywhere.
#[derive(Debug)]
enum Body {
    Fill(FillReader<FetchError>),
    Stored(StoredContent),
}

#[derive(Debug)]
enum Piece {
    Body(Part),
    Text(Bytes),
}

impl Parts {
    /// These parts of a body of `complete_length` bytes and this Content-Type. Of a body that is still arriving they are
    /// sent in the order they arrive in, because what was passed over may be gone when its turn comes.
    ///
    /// # Errors
    /// Gives back a source that can only be read from its beginning.
    pub fn new(
        source: Source,
        mut parts: Vec<Part>,
        content_type: Option<&HeaderValue>,
        complete_length: u64,
    ) -> Result<Self, Source> {
        let body = match source {
            Source::Fill(reader, _) => {
                parts.sort_unstable_by_key(|part| part.first);
                Body::Fill(reader)
            }
            Source::Stored(body, _) => Body::Stored(body),
            source => return Err(source),
        };
        let boundary = boundary();
        let mut pieces = VecDeque::with_capacity(2 * parts.len() + 1);
        for part in parts {
            let delimiter = if pieces.is_empty() { "--" } else { "\r\n--" };
            let mut head = [delimiter, &boundary, "\r\n"].concat().into_bytes();
            // "If the selected representation would have had a Content-Type header field in a 200 (OK) response, the server
            // SHOULD generate that same Content-Type header field in the header area of each body part."
            if let Some(content_type) = content_type {
                head.extend([b"Content-Type: ", content_type.as_bytes(), b"\r\n"].concat());
            }
            // "Within the header area of each body part in the multipart content, the server MUST generate a Content-Range
            // header field corresponding to the range being enclosed in that body part."
            head.extend([b"Content-Range: ", content_range(part, complete_length).as_bytes(), b"\r\n\r\n"].concat());
            pieces.extend([Piece::Text(head.into()), Piece::Body(part)]);
        }
        pieces.push_back(Piece::Text(["\r\n--", &boundary, "--\r\n"].concat().into()));
        Ok(Self { body, boundary, pieces })
    }

    /// Content-Type of the response.
    pub fn content_type(&self) -> HeaderValue {
        let text = ["multipart/byteranges; boundary=", &self.boundary].concat();
        HeaderValue::try_from(text).expect("hexadecimal digits are a valid boundary")
    }

    /// Bytes still to come.
    pub fn length(&self) -> u64 {
        let length = |piece: &Piece| match piece {
            Piece::Body(part) => part.length(),
            Piece::Text(text) => text.len() as u64,
        };
        self.pieces.iter().map(length).sum()
    }

    /// The next bytes; `None` after the last part, or where the body ends too early.
    pub fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let Some(piece) = self.pieces.pop_front() else { return Poll::Ready(None) };
        let part = match piece {
            Piece::Text(text) => return Poll::Ready(Some(Ok(text))),
            Piece::Body(part) => part,
        };
        // In its place again in case there is nothing to read yet, or more than one piece of it.
        self.pieces.push_front(Piece::Body(part));
        let Some(read) = ready!(self.body.poll_read_at(part.first, context)) else { return Poll::Ready(None) };
        let Ok(mut bytes) = read else { return Poll::Ready(Some(Err(BodyError))) };
        bytes.truncate(usize::try_from(part.length()).unwrap_or(usize::MAX));
        let next = part.first + bytes.len() as u64;
        if next > part.last {
            self.pieces.pop_front();
        } else if let Some(Piece::Body(rest)) = self.pieces.front_mut() {
            rest.first = next;
        }
        Poll::Ready(Some(Ok(bytes)))
    }
}

impl Body {
    fn poll_read_at(&mut self, offset: u64, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match self {
            Self::Fill(reader) => {
                reader.seek(offset);
                reader.poll_read(context).map(|read| read.map(|read| read.map_err(|_| BodyError)))
            }
            Self::Stored(body) => {
                let bytes = body.read(offset);
                Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)))
            }
        }
    }
}

/// 128 bits that nobody can foresee, so that they are in no body, neither by chance nor on purpose.
fn boundary() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
