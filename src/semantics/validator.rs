//! Validators, preconditions and the freshening of stored responses (RFC 9110 §8.8, §13; RFC 9111 §4.3).

use std::borrow::Cow;

use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::date::http_date;
use super::field;
use super::field_lines::FieldLines;
use super::forwarding::remove_hop_by_hop;

/// An entity tag (RFC 9110 §8.8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// Marked with `W/`: equivalent, not identical.
    pub weak: bool,
    /// What is between the quotes.
    pub opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// A whole field value: one entity tag and nothing else.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::parse_first(text)?;
        rest.is_empty().then_some(tag)
    }

    /// "two entity tags are equivalent if both are not weak and their opaque-tags match character-by-character"
    /// (§8.8.3.2).
    pub fn strong_eq(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// "two entity tags are equivalent if their opaque-tags match character-by-character, regardless of either or both
    /// being tagged as "weak"" (§8.8.3.2).
    pub fn weak_eq(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// The tag that `text` begins with, and what follows it. A backslash escapes nothing in an entity tag.
    fn parse_first(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let rest = quoted.strip_prefix(b"\"")?;
        let end = rest.iter().position(|&byte| byte == b'"')?;
        // etagc = %x21 / %x23-7E / obs-text
        let is_valid = rest[..end].iter().all(|&byte| byte > b' ' && byte != 0x7f);
        is_valid.then(|| (Self { weak, opaque: &rest[..end] }, &rest[end + 1..]))
    }

    fn of(headers: &'a HeaderMap) -> Option<Self> {
        Self::parse(field::only(headers, ETAG)?.as_bytes())
    }
}

/// The strong entity tag of a response; the only proof that two bodies are the same byte by byte.
pub fn strong_validator(headers: &HeaderMap) -> Option<&HeaderValue> {
    let line = field::only(headers, ETAG)?;
    EntityTag::parse(line.as_bytes()).filter(|tag| !tag.weak)?;
    Some(line)
}

/// The validators of a stored response, in whatever form its fields are.
pub trait Validators {
    /// The text of its only entity tag; several are as good as none.
    fn tag(&self) -> Option<Cow<'_, [u8]>>;

    /// Its first field of this name.
    fn first(&self, name: &HeaderName) -> Option<HeaderValue>;
}

impl Validators for HeaderMap {
    fn tag(&self) -> Option<Cow<'_, [u8]>> {
        field::only(self, ETAG).map(|tag| tag.as_bytes().into())
    }

    fn first(&self, name: &HeaderName) -> Option<HeaderValue> {
        self.get(name).cloned()
    }
}

impl Validators for FieldLines<'_> {
    fn tag(&self) -> Option<Cow<'_, [u8]>> {
        self.only(&ETAG)
    }

    fn first(&self, name: &HeaderName) -> Option<HeaderValue> {
        self.get(name)
    }
}

/// What the preconditions of a request make of the response that would answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Answer as if there were none.
    Proceed,
    /// Answer 304: the client has this representation already.
    NotModified,
}

/// Evaluates the preconditions of `request` against the stored response that has been chosen for it.
///
/// "the If-Match and If-Unmodified-Since conditional header fields are not applicable to a cache, and If-None-Match
/// takes precedence over If-Modified-Since" (RFC 9111 §4.3.2), so that none of them can fail here.
pub fn evaluate(method: &Method, request: &HeaderMap, status: StatusCode, stored: &impl Validators) -> Precondition {
    // "A server MUST ignore all received preconditions if its response to the same request without those conditions,
    // prior to processing the request content, would have been a status code other than a 2xx (Successful) or 412" (RFC
    // 9110 §13.2.1).
    if !matches!(*method, Method::GET | Method::HEAD) || !status.is_success() {
        return Precondition::Proceed;
    }
    // "When the method is GET or HEAD, If-None-Match is not present, and If-Modified-Since is present, evaluate the
    // If-Modified-Since precondition" (§13.2.2)
    let has_representation = if request.contains_key(IF_NONE_MATCH) {
        is_listed(request, stored.tag().as_deref())
    } else {
        is_unmodified(request, stored)
    };
    if has_representation { Precondition::NotModified } else { Precondition::Proceed }
}

/// The fields of a conditional request that validates a stored response (RFC 9111 §4.3.1).
pub fn conditional_fields(stored: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let mut fields = Vec::new();
    // "MUST send the relevant entity tags […] if the entity tags were provided in the stored response(s) being
    // validated."
    if EntityTag::of(stored).is_some() {
        fields.extend(stored.get(ETAG).map(|tag| (IF_NONE_MATCH, tag.clone())));
    }
    // "SHOULD send the Last-Modified value (using If-Modified-Since) if […] that response contains a Last-Modified
    // value."
    let last_modified = field::only(stored, LAST_MODIFIED).filter(|value| http_date(value).is_some());
    fields.extend(last_modified.map(|value| (IF_MODIFIED_SINCE, value.clone())));
    fields
}

/// The fields of the stored response after a 304 to [`conditional_fields`] (RFC 9111 §3.2, §4.3.4).
///
/// `None` if the 304 speaks of another representation; the stored one must then not be updated, and is of no use.
pub fn freshen(stored: &HeaderMap, not_modified: &HeaderMap) -> Option<HeaderMap> {
    if !selects(not_modified, stored) {
        return None;
    }
    let mut update = not_modified.clone();
    remove_hop_by_hop(&mut update);
    for name in NOT_UPDATED {
        update.remove(name);
    }
    let mut freshened = stored.clone();
    // Both tell the age of the message they came with; a 304 without them is as old as its receipt (RFC 9110 §6.6.1).
    freshened.remove(AGE);
    freshened.remove(DATE);
    // "the cache MUST add each header field in the provided response to the stored response, replacing field values
    // that are already present" (§3.2)
    for name in update.keys() {
        freshened.remove(name);
    }
    for (name, value) in &update {
        freshened.try_append(name, value.clone()).ok()?;
    }
    Some(freshened)
}

/// Whether a 200 to HEAD speaks of the stored response to GET, `stored_bytes` long, and so may update it. Without any
/// validator nothing says that it does.
///
/// "if the stored response and HEAD response have matching values for any received validator fields (ETag and
/// Last-Modified) and, if the HEAD response has a Content-Length header field, the value of Content-Length matches that of
/// the stored response" (RFC 9111 §4.3.5).
pub fn head_matches(stored: &HeaderMap, stored_bytes: u64, head: &HeaderMap) -> bool {
    let is_same = |name: HeaderName| !head.contains_key(&name) || head.get_all(&name).iter().eq(stored.get_all(&name));
    let length = field::only(head, CONTENT_LENGTH).map(|length| field::number(length.as_bytes()));
    let vouches = head.contains_key(ETAG) || head.contains_key(LAST_MODIFIED);
    vouches && is_same(ETAG) && is_same(LAST_MODIFIED) && length.is_none_or(|length| length == Some(stored_bytes))
}

/// Whether the If-None-Match of a request names the representation with this tag, if it has one: "if the field value is "*", the condition is false if the origin server has a current representation
/// for the target resource. If the field value is a list of entity tags, the condition is false if one of the listed
/// tags matches the entity tag of the selected representation." (RFC 9110 §13.1.2)
pub(super) fn is_listed(request: &HeaderMap, tag: Option<&[u8]>) -> bool {
    if field::only(request, IF_NONE_MATCH).is_some_and(|line| field::trim(line.as_bytes()) == b"*") {
        return true;
    }
    let Some(current) = tag.and_then(EntityTag::parse) else {
        return false;
    };
    // "A recipient MUST use the weak comparison function when comparing entity tags for If-None-Match".
    let mut lines = request.get_all(IF_NONE_MATCH).iter();
    lines.any(|line| EntityTags::new(line.as_bytes()).any(|tag| tag.weak_eq(&current)))
}

/// If-Modified-Since: "If the selected representation's last modification date is earlier or equal to the date provided
/// in the field value, the condition is false." "A recipient MUST ignore the If-Modified-Since header field if the
/// received field value is not a valid HTTP-date, the field value has more than one member" (RFC 9110 §13.1.3).
fn is_unmodified(request: &HeaderMap, stored: &impl Validators) -> bool {
    let Some(since) = field::only(request, IF_MODIFIED_SINCE).and_then(http_date) else { return false };
    // "If […] the Last-Modified header field is not present in a stored response, a cache SHOULD use the stored
    // response's Date field value" (RFC 9111 §4.3.2).
    let modified = stored.first(&LAST_MODIFIED).or_else(|| stored.first(&DATE));
    modified.as_ref().and_then(http_date).is_some_and(|modified| modified <= since)
}

/// The tags of a list, up to the first thing that is none.
pub(super) struct EntityTags<'a> {
    rest: &'a [u8],
}

impl<'a> EntityTags<'a> {
    pub(super) fn new(line: &'a [u8]) -> Self {
        Self { rest: line }
    }
}

impl<'a> Iterator for EntityTags<'a> {
    type Item = EntityTag<'a>;

    fn next(&mut self) -> Option<EntityTag<'a>> {
        while let [b',' | b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
        let (tag, rest) = EntityTag::parse_first(self.rest)?;
        self.rest = field::trim(rest);
        if self.rest.first().is_some_and(|&byte| byte != b',') {
            self.rest = &[];
            return None;
        }
        Some(tag)
    }
}

fn selects(not_modified: &HeaderMap, stored: &HeaderMap) -> bool {
    let new = EntityTag::of(not_modified);
    let known = EntityTag::of(stored);
    match (new, known) {
        // "If none of the initial set contains at least one of the same strong validators, then the cache MUST NOT use
        // the new response to update any stored responses."
        (Some(new), known) if !new.weak => known.is_some_and(|known| known.strong_eq(&new)),
        // "If the new response contains no strong validators but does contain one or more weak validators, and those
        // validators correspond to one of the initial set's stored responses, then the most recent […] is identified
        // for update."
        (Some(new), Some(known)) => known.weak_eq(&new),
        (new, _) => match (not_modified.get(LAST_MODIFIED), stored.get(LAST_MODIFIED)) {
            (Some(new), Some(known)) => http_date(new).is_some() && http_date(new) == http_date(known),
            (Some(_), None) => false,
            // A 304 without any validator can only mean the one response whose validators the request carried.
            (None, _) => new.is_none(),
        },
    }
}

/// Fields of a 304 that do not replace stored ones, since they describe the stored bytes: "Header fields that the cache's
/// stored response depends upon" (RFC 9111 §3.2).
const NOT_UPDATED: [HeaderName; 7] = [
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

#[cfg(test)]
mod tests;
