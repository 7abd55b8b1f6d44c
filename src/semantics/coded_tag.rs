//! Entity tags of responses that this cache has coded (RFC 9110 §8.8.1, §8.8.3.3).
//!
//! A strong tag promises the same bytes wherever it is seen: from this node, from another one, from the next version. So
//! the tag of a coded response is that of the origin with a suffix that names the coding and the recipe it was made by.
//! Origins know nothing of it: the suffix is taken off where a tag goes back to one.

use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::content_coding::ContentCoding;
use super::field;
use super::validator::{EntityTag, EntityTags};

/// The entity tag of a response in `coding` whose tag without it is `tag`. A weak tag is the same for both: it promises
/// an equivalent response, not the same bytes. `None` for what is no entity tag, and so promises nothing.
pub fn coded(tag: &[u8], coding: ContentCoding) -> Option<HeaderValue> {
    let parsed = EntityTag::parse(tag)?;
    if parsed.weak { HeaderValue::from_bytes(tag).ok() } else { quoted(&[parsed.opaque, suffix(coding).as_bytes()]) }
}

/// Takes our suffixes off the preconditions of a request that goes to an origin.
pub fn uncode_conditions(request: &mut HeaderMap) {
    for name in [IF_MATCH, IF_NONE_MATCH] {
        let is_ours = |line: &HeaderValue| tags(line).any(|tag| uncoded(&tag).is_some());
        if request.get_all(&name).iter().any(is_ours) {
            let lines: Vec<_> = request.get_all(&name).iter().filter_map(uncoded_list).collect();
            request.remove(&name);
            for line in lines {
                request.append(&name, line);
            }
        }
    }
    // "A client MUST NOT generate an If-Range header field containing an entity tag that is marked as weak" (§13.1.5):
    // the rest of a coded response is nothing that an origin has, so it is asked for the whole.
    if field::only(request, IF_RANGE).is_some_and(is_coded) {
        request.remove(IF_RANGE);
        request.remove(RANGE);
    }
}

/// Gives the tag in a 304 of an origin the suffix that the client knows it by, after [`uncode_conditions`] of its
/// request: "If none of the initial set contains at least one of the same strong validators, then the cache MUST NOT use
/// the new response to update any stored responses." (RFC 9111 §4.3.4)
pub fn recode(status: StatusCode, response: &mut HeaderMap, client: &HeaderMap) {
    let Some(tag) = field::only(response, ETAG).filter(|_| status == StatusCode::NOT_MODIFIED) else { return };
    let Some(current) = EntityTag::parse(tag.as_bytes()) else { return };
    let all_known = || client.get_all(IF_NONE_MATCH).iter().flat_map(tags);
    if all_known().any(|known| known.weak_eq(&current)) {
        return;
    }
    let known = all_known().find(|known| uncoded(known).is_some_and(|uncoded| uncoded.weak_eq(&current)));
    if let Some(known) = known.and_then(|known| quoted(&[known.opaque])) {
        response.insert(ETAG, known);
    }
}

/// Whether `value` is one entity tag of ours.
fn is_coded(value: &HeaderValue) -> bool {
    EntityTag::parse(value.as_bytes()).is_some_and(|tag| uncoded(&tag).is_some())
}

/// The list of tags in `line`, every one as its origin knows it.
fn uncoded_list(line: &HeaderValue) -> Option<HeaderValue> {
    let texts = tags(line).map(|tag| {
        let EntityTag { weak, opaque } = uncoded(&tag).unwrap_or(tag);
        [if weak { &b"W/\""[..] } else { b"\"" }, opaque, b"\""].concat()
    });
    HeaderValue::from_bytes(&texts.collect::<Vec<_>>().join(&b", "[..])).ok()
}

fn tags(line: &HeaderValue) -> impl Iterator<Item = EntityTag<'_>> {
    EntityTags::new(line.as_bytes())
}

/// The origin's tag behind one of ours.
fn uncoded<'a>(tag: &EntityTag<'a>) -> Option<EntityTag<'a>> {
    let mut suffixes = ContentCoding::ALL.into_iter().map(suffix);
    let opaque = suffixes.find_map(|suffix| tag.opaque.strip_suffix(suffix.as_bytes())).filter(|_| !tag.weak)?;
    Some(EntityTag { weak: false, opaque })
}

fn quoted(parts: &[&[u8]]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(&[b"\"", &*parts.concat(), b"\""].concat()).ok()
}

/// Coding and number of the recipe: which encoder, at which level, in which version. A recipe that yields other bytes
/// needs another number; a test of the encoders knows the bytes. The tilde keeps our suffixes apart from those of origins,
/// some of which append `-gzip`.
fn suffix(coding: ContentCoding) -> &'static str {
    match coding {
        ContentCoding::Brotli => "~br1",
        ContentCoding::Gzip => "~gzip1",
        ContentCoding::Zstd => "~zstd1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::field::fields;

    type Lines<'a> = &'a [(&'static str, &'a str)];

    #[test]
    fn a_strong_tag_changes_with_the_coding() {
        use ContentCoding::{Brotli, Gzip, Zstd};
        check_coded("strong", "\"x\"", Brotli, Some("\"x~br1\""));
        check_coded("strong", "\"x\"", Gzip, Some("\"x~gzip1\""));
        check_coded("strong", "\"x\"", Zstd, Some("\"x~zstd1\""));
        check_coded("strong and empty", "\"\"", Brotli, Some("\"~br1\""));
        check_coded("bytes that are not ASCII", "\"é\"", Brotli, Some("\"é~br1\""));
        check_coded("weak", "W/\"x\"", Brotli, Some("W/\"x\""));
        check_coded("no entity tag", "x", Brotli, None);
        check_coded("no entity tag", "\"x", Brotli, None);
    }

    #[test]
    fn an_origin_is_asked_with_its_own_tags() {
        check_uncoded("its own tags", &[("if-none-match", "\"x\"")], &[("if-none-match", "\"x\"")]);
        check_uncoded(
            "ours, and what they stand for",
            &[("if-none-match", "\"x~br1\", W/\"y\""), ("if-none-match", "\"z~gzip1\"")],
            &[("if-none-match", "\"x\", W/\"y\""), ("if-none-match", "\"z\"")],
        );
        check_uncoded("a write", &[("if-match", "\"x~zstd1\"")], &[("if-match", "\"x\"")]);
        check_uncoded("another recipe is no tag of ours", &[("if-match", "\"x~br0\"")], &[("if-match", "\"x~br0\"")]);
        check_uncoded("nor is a weak one", &[("if-none-match", "W/\"x~br1\"")], &[("if-none-match", "W/\"x~br1\"")]);
        check_uncoded("nothing that is no tag", &[("if-none-match", "*")], &[("if-none-match", "*")]);
        check_uncoded("the rest of a coded response", &[("if-range", "\"x~br1\""), ("range", "bytes=5-")], &[]);
        let own = [("if-range", "\"x\""), ("range", "bytes=5-")];
        check_uncoded("the rest of the origin's response", &own, &own);
    }

    #[test]
    fn a_304_selects_what_the_client_has() {
        let not_modified = StatusCode::NOT_MODIFIED;
        check_recoded("the tag it knows", not_modified, "\"x\"", "\"a\", \"x~br1\"", "\"x~br1\"");
        check_recoded("it knows the other one as well", not_modified, "\"x\"", "\"x~br1\", \"x\"", "\"x\"");
        check_recoded("it knows neither", not_modified, "\"x\"", "\"y~br1\"", "\"x\"");
        check_recoded("the origin's tag became weak", not_modified, "W/\"x\"", "\"x~br1\"", "\"x~br1\"");
        check_recoded("not a 304", StatusCode::OK, "\"x\"", "\"x~br1\"", "\"x\"");
    }

    fn check_coded(case: &str, tag: &str, coding: ContentCoding, expected: Option<&str>) {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).expect("a table holds valid values");
        assert_eq!(coded(tag.as_bytes(), coding), expected.map(value), "{case}: {tag}");
    }

    fn check_uncoded(case: &str, sent: Lines<'_>, expected: Lines<'_>) {
        let mut request = fields(sent);
        uncode_conditions(&mut request);
        assert_eq!(request, fields(expected), "{case}");
    }

    fn check_recoded(case: &str, status: StatusCode, tag: &str, known: &str, expected: &str) {
        let mut response = fields(&[("etag", tag)]);
        recode(status, &mut response, &fields(&[("if-none-match", known)]));
        assert_eq!(response, fields(&[("etag", expected)]), "{case}");
    }
}
