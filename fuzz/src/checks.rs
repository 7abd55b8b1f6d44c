//! What must hold of the result of each reader of foreign text, whatever the text.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holdover::config::{Surroundings, load};
use holdover::origin::dns::memory::{Memory, Recollection};
use holdover::origin::health::duty::Duty;
use holdover::origin::request::meter::Meter;
use holdover::semantics::cache_control::{Honored, MaxStale, RequestDirectives, ResponseDirectives, TARGETS};
use holdover::semantics::cache_status::{CacheName, CacheStatus, CacheStatusMember};
use holdover::semantics::content_range::{content_range, parse_content_range};
use holdover::semantics::date::{format_http_date, http_date};
use holdover::semantics::digest::{Algorithm, of_content};
use holdover::semantics::forwarding::Signature;
use holdover::semantics::freshness::{FreshnessPolicy, Negative, Reuse, assess, lifetime};
use holdover::semantics::invalidation::invalidated;
use holdover::semantics::key::{KeyPolicy, cache_key};
use holdover::semantics::query::{ParameterPattern, QueryPolicy};
use holdover::semantics::range::{Part, RANGES_MAX, RangeAnswer, answer};
use holdover::semantics::storable::{StorePolicy, storable};
use holdover::semantics::surrogate::{TAG_BYTES_MAX, TAGS_MAX, tags};
use holdover::semantics::target::{Target, target};
use holdover::semantics::validator::{EntityTag, Precondition, conditional_fields, evaluate, freshen};
use holdover::semantics::vary::{Nominated, vary_fields};
use holdover::semantics::{content_coding, forwarding};
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HOST, HeaderMap,
    HeaderName, HeaderValue, IF_NONE_MATCH, SET_COOKIE, TRANSFER_ENCODING,
};
use http::{Method, StatusCode, Uri, Version};

use super::sections::{exchange, fields};

/// Cache-Control of requests and responses (RFC 9111 §5.2).
pub fn cache_control(input: &[u8]) {
    let headers = fields(input);
    let directives = directives_of(&headers);
    times_are_bounded(&directives);
    // What was understood is understood again when it is written plainly.
    let mut plain = HeaderMap::new();
    plain.append(CACHE_CONTROL, written(&directives));
    let read_again = directives_of(&plain);
    let known = ResponseDirectives { targeted: false, present: read_again.present, ..directives.clone() };
    assert_eq!(read_again, known);
    // No line, however broken, hides a directive on another line.
    if !directives.targeted {
        let mut longer = headers.clone();
        longer.append(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let longer = directives_of(&longer);
        assert_eq!(longer, ResponseDirectives { no_store: true, present: true, ..directives });
    }
    let request = RequestDirectives::from_headers(&headers, Honored::All);
    let stale = if let Some(MaxStale::For(time)) = request.max_stale { Some(time) } else { None };
    for time in [request.max_age, request.min_fresh, stale].into_iter().flatten() {
        assert!(time <= DELTA_SECONDS_MAX);
    }
}

/// CDN-Cache-Control and Surrogate-Control (RFC 9213 §2).
pub fn targeted_field(input: &[u8]) {
    let headers = fields(input);
    let directives = directives_of(&headers);
    times_are_bounded(&directives);
    // "the cache MUST select the first […] field with a valid, non-empty value […], and it MUST ignore the Cache-Control
    // and Expires header fields".
    let mut without = headers.clone();
    without.remove(CACHE_CONTROL);
    if directives.targeted {
        assert_eq!(directives_of(&without), directives);
    }
    // A member that is none makes the whole field invalid, and the field then counts for nothing.
    let (mut damaged, mut absent) = (headers.clone(), headers);
    damaged.append(CDN_CACHE_CONTROL, HeaderValue::from_static("&"));
    absent.remove(CDN_CACHE_CONTROL);
    assert_eq!(directives_of(&damaged), directives_of(&absent));
}

/// Range and If-Range (RFC 9110 §14.2, §13.1.5) for a representation as long as the response's Content-Length says.
pub fn range(input: &[u8]) {
    let (request, stored) = exchange(input);
    let stated = stored.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    for length in [stated.unwrap_or(0), 0, 1, u64::MAX - 1] {
        let parts = match answer(&request, &stored, length) {
            RangeAnswer::Part(part) => vec![part],
            RangeAnswer::Parts(parts) => {
                assert!((2..=RANGES_MAX).contains(&parts.len()));
                parts
            }
            RangeAnswer::Whole | RangeAnswer::Unsatisfiable => continue,
        };
        for (index, part) in parts.iter().enumerate() {
            assert!(part.first <= part.last && part.last < length, "{part:?} of {length}");
            let written = parse_content_range(&content_range(*part, length)).expect("it was just written");
            assert_eq!((written.first, written.last, written.complete_length), (part.first, part.last, Some(length)));
            let overlaps = |other: &Part| part.first <= other.last && other.first <= part.last;
            assert!(!parts[index + 1..].iter().any(overlaps), "{parts:?}");
        }
    }
}

/// Content-Range of a 206 (RFC 9110 §14.4).
pub fn read_content_range(input: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(input) else { return };
    let Some(range) = parse_content_range(&value) else { return };
    assert!(range.first <= range.last && range.complete_length.is_none_or(|length| range.last < length));
    if let Some(length) = range.complete_length {
        let part = Part { first: range.first, last: range.last };
        assert_eq!(parse_content_range(&content_range(part, length)), Some(range));
    }
}

/// Content-Digest and Repr-Digest (RFC 9530) of a response.
pub fn digests(input: &[u8]) {
    let fields = fields(input);
    let of_whole = of_content(&Method::GET, StatusCode::OK, &fields);
    let of_part = of_content(&Method::GET, StatusCode::PARTIAL_CONTENT, &fields);
    assert!(of_part.len() <= 2 && of_whole.starts_with(&of_part) && of_whole.len() <= 4);
    for digest in of_whole {
        let length = match digest.algorithm {
            Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
        };
        assert_eq!(digest.value.len(), length);
    }
}

/// Where the head of a response ends (RFC 9112 §2.2), however it is cut in pieces.
pub fn response_heads(input: &[u8]) {
    let content = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut meter = Meter::default();
        pieces.for_each(|piece| meter.take(piece));
        meter.content()
    };
    let at_once = content(&mut std::iter::once(input));
    assert_eq!(content(&mut input.chunks(1)), at_once);
    assert_eq!(content(&mut input.chunks(7)), at_once);
    assert!(at_once < input.len() as u64 || input.is_empty());
}

/// The gate: a request target and, on a second line, the Host field (RFC 9110 §7.1, RFC 9112 §3.2).
pub fn request_target(input: &[u8]) {
    let (written, host) = input.split_at(input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len()));
    let Some(target) = accepted(written, host.trim_ascii()) else { return };
    let path = target.path_and_query().split('?').next().unwrap_or_default();
    assert!(path.starts_with('/') && target.path_and_query().bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(!path.contains('\\') && !path.split('/').any(|segment| matches!(segment, "." | "..")), "{path}");
    // What origins get means the same to the gate of the next node, and has the same key there.
    let again = accepted(target.path_and_query().as_bytes(), target.authority().as_bytes());
    assert_eq!(again.map(|again| cache_key(&again)), Some(cache_key(&target)));
}

/// What Location and Content-Location name (RFC 9111 §4.4): after a request target and the Host field, the fields of a
/// response.
pub fn invalidation(input: &[u8]) {
    let mut lines = input.splitn(3, |&byte| byte == b'\n');
    let (Some(written), Some(host)) = (lines.next(), lines.next()) else { return };
    let Some(requested) = accepted(written, host) else { return };
    let targets = invalidated(&requested, &fields(lines.next().unwrap_or_default()));
    assert!((1..=3).contains(&targets.len()));
    for named in targets {
        assert_eq!(named.origin(), requested.origin());
        // It names what a request for it would be stored under.
        let again = accepted(named.path_and_query().as_bytes(), named.authority().as_bytes());
        assert_eq!(again.map(|again| cache_key(&again)), Some(cache_key(&named)));
    }
}

/// The query and the fields that a site makes its keys of: a digit that chooses the policy, a path with query, and the
/// fields of a request.
pub fn keys(input: &[u8]) {
    let (first, rest) = input.split_at(input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len()));
    let Some((&choice, written)) = first.split_first() else { return };
    let Some(mut target) = accepted(written, b"www.test") else { return };
    let patterns = |texts: &[&str]| texts.iter().filter_map(|text| ParameterPattern::parse(text)).collect();
    let policy = KeyPolicy {
        query: QueryPolicy {
            keep: (choice & 1 != 0).then(|| patterns(&["a", "b", "filter[*", "utm_id"])),
            drop: if choice & 2 == 0 { Vec::new() } else { patterns(&["utm_*", "c"]) },
            sort: choice & 4 != 0,
        },
        fields: vec![HeaderName::from_static("accept-language"), HeaderName::from_static("foo")],
        cookies: vec!["sid".into(), "lang".into()],
    };
    let mut request = fields(rest);
    let written = target.path_and_query().to_owned();
    policy.reduce(&mut target);
    policy.normalize(&mut request);
    assert!(target.path_and_query().len() <= written.len());
    let parameters = |text: &str| text.split_once('?').map_or(0, |(_, query)| query.split('&').count());
    assert!(parameters(target.path_and_query()) <= parameters(&written));
    let key = policy.key(&target, &request);
    assert_eq!(key.uri(), cache_key(&target).as_str());
    assert!(key.as_str().is_ascii() && key.as_str().lines().count() <= 4);
    // What reaches the next node, where whitespace around values does not, has the same form there. Lines that are joined
    // read differently when a quotation mark of the one meets one of the other.
    if input.contains(&b'"') {
        return;
    }
    let (target_again, request_again) = (&mut target.clone(), &mut received_by_next(&request));
    policy.reduce(target_again);
    policy.normalize(request_again);
    assert_eq!(*target_again, target);
    assert_eq!(received_by_next(request_again), received_by_next(&request));
}

/// HTTP-date in its three forms (RFC 9110 §5.6.7).
pub fn date(input: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(input) else { return };
    let Some(time) = http_date(&value) else { return };
    let written = format_http_date(time);
    assert_eq!(written.len(), "Sun, 06 Nov 1994 08:49:37 GMT".len());
    assert_eq!(http_date(&written), Some(time), "{written:?}");
    assert!(time >= UNIX_EPOCH);
}

/// Vary, the fields it nominates, and Accept-Encoding (RFC 9111 §4.1, RFC 9110 §12.5).
pub fn variants(input: &[u8]) {
    let (request, response) = exchange(input);
    let codings = content_coding::normalize(&request);
    let mut normal = HeaderMap::new();
    if !codings.is_empty() {
        normal.insert(ACCEPT_ENCODING, HeaderValue::from_static(codings));
    }
    assert_eq!(content_coding::normalize(&normal), codings);
    let Ok(nominated) = vary_fields(&response) else { return };
    assert!(nominated.is_sorted_by(|this, next| this.as_str() < next.as_str()));
    let stored = Nominated::of(&nominated, &request);
    assert!(stored.matches(&request));
    // The two ways to compare agree: a request against what is stored, and what would be stored of it.
    let mut other = request.clone();
    for name in &nominated {
        let lines: Vec<_> = request.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        let joined = HeaderValue::from_bytes(&lines.join(&b","[..])).expect("pieces of values are a value");
        other.insert(name, joined);
        assert_eq!(stored.matches(&other), stored == Nominated::of(&nominated, &other), "{name}");
    }
    // A field that is not nominated makes no difference.
    if !nominated.contains(&UNRELATED) {
        other = request;
        other.insert(UNRELATED, HeaderValue::from_static("1"));
        assert!(stored.matches(&other));
    }
}

/// Entity tags, preconditions and freshening (RFC 9110 §8.8, §13; RFC 9111 §4.3).
pub fn validators(input: &[u8]) {
    let (request, stored) = exchange(input);
    for line in request.get_all(IF_NONE_MATCH).iter().chain(stored.get_all(ETAG)) {
        let Some(tag) = EntityTag::parse(line.as_bytes()) else { continue };
        let prefix = if tag.weak { "W/\"" } else { "\"" };
        assert_eq!([prefix.as_bytes(), tag.opaque, b"\""].concat(), line.as_bytes());
        assert!(tag.weak_eq(&tag) && tag.strong_eq(&tag) != tag.weak);
    }
    evaluate(&Method::GET, &request, StatusCode::OK, &stored);
    // A response is the one its own validators ask for.
    let conditions: HeaderMap = conditional_fields(&stored).into_iter().collect();
    let expected = if conditions.is_empty() { Precondition::Proceed } else { Precondition::NotModified };
    assert_eq!(evaluate(&Method::GET, &conditions, StatusCode::OK, &stored), expected);
    assert_eq!(evaluate(&Method::POST, &conditions, StatusCode::OK, &stored), Precondition::Proceed);
    // Freshening keeps what describes the stored bytes, and takes over everything else once.
    let Some(freshened) = freshen(&stored, &request) else { return };
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE] {
        assert_eq!(lines(&freshened, &name), lines(&stored, &name));
    }
    assert_eq!(freshen(&freshened, &request).as_ref(), Some(&freshened));
}

/// What may be stored, and for how long (RFC 9111 §3, §4.2).
pub fn storing(input: &[u8]) {
    let (request, response) = exchange(input);
    let directives = directives_of(&response);
    let policy = FreshnessPolicy::default();
    for status in [200, 206, 304, 404, 503].map(|code| StatusCode::from_u16(code).expect("a status code")) {
        let stored = storable(&Method::GET, &request, status, &response, &directives, &StorePolicy::default());
        if stored.is_ok() {
            assert!(!directives.private && (!directives.no_store || directives.must_understand));
            assert!(status != StatusCode::PARTIAL_CONTENT && status != StatusCode::NOT_MODIFIED);
            let for_all = directives.public || directives.s_maxage.is_some() || directives.targeted;
            assert!(!response.contains_key(SET_COOKIE) || for_all || directives.withheld.contains(&SET_COOKIE));
        }
        let lifetime = lifetime(status, &response, &directives, received(), received(), &policy, &Negative::default());
        assert!(!directives.no_cache || lifetime.freshness.is_zero());
        // Time only ever takes away: fresh, then stale in two steps, then of no use.
        let mut before = 0;
        for resident in [0, 1, 59, 60, 3600, 90_000, 1 << 31, 1 << 33].map(Duration::from_secs) {
            let now = match assess(&lifetime, resident, None, &policy) {
                Reuse::Fresh { ttl } => {
                    assert!(!ttl.is_zero() && ttl <= lifetime.freshness);
                    0
                }
                Reuse::StaleWhileRevalidate { .. } => 1,
                Reuse::StaleIfError { .. } => 2,
                Reuse::LastRemedy { .. } => panic!("nothing has made it suspect"),
                Reuse::Unusable { .. } => 3,
            };
            assert!(before <= now);
            before = now;
        }
    }
}

/// What an intermediary removes and adds (RFC 9110 §7.6, RFC 8586), and Cache-Status (RFC 9211).
pub fn forwarding(input: &[u8]) {
    let mut headers = fields(input);
    let node = String::from_utf8_lossy(input.get(..20).unwrap_or(input)).into_owned();
    forwarding::remove_hop_by_hop(&mut headers);
    assert!(!headers.contains_key(CONNECTION) && !headers.contains_key(TRANSFER_ENCODING));
    let once = headers.clone();
    forwarding::remove_hop_by_hop(&mut headers);
    assert_eq!(headers, once);
    forwarding::join_cookies(&mut headers);
    // A node knows its own mark, in whichever of the two fields.
    let signature = Signature::new(&node);
    for append in [
        |signature: &Signature, headers: &mut HeaderMap| signature.append_via(headers, Version::HTTP_11),
        Signature::append_cdn_loop,
    ] {
        let mut marked = headers.clone();
        append(&signature, &mut marked);
        assert!(node.is_empty() || signature.loops(&marked), "{node:?}");
    }
    let member = CacheStatusMember::new(CacheStatus::Hit).render(&CacheName::of(&node), Some(&node));
    assert!(member.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
}

/// Surrogate tags.
pub fn read_tags(input: &[u8]) {
    let response = fields(input);
    let Ok(tags) = tags(&response) else { return };
    assert!(tags.len() <= TAGS_MAX && tags.is_sorted_by(|this, next| this < next));
    // A byte that is no text becomes three.
    assert!(tags.iter().all(|tag| !tag.is_empty() && tag.len() <= 3 * TAG_BYTES_MAX));
}

/// A configuration file: either a model, or problems that each name a place in the text.
pub fn config(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let surroundings = Surroundings {
        region: "eu",
        cores: 2,
        environment: &|name| (name == "PORT").then(|| "9443".to_owned()),
        ..Surroundings::none("fuzz.toml")
    };
    let Err(problems) = load(&text, &surroundings) else { return };
    assert!(!problems.is_empty());
    let last_line = text.matches('\n').count() + 1;
    for problem in problems {
        assert!((1..=last_line).contains(&problem.line) && problem.column >= 1, "{problem}");
        assert!(!problem.found.is_empty() && !problem.expected.is_empty(), "{problem}");
        assert!(!problem.to_string().contains('\n'), "{problem}");
    }
}

/// What a node saved for its next start: what is read is read again the same, what is recalled is of a known age, and an
/// order once noted is the one that is recalled.
pub fn memory(input: &[u8]) {
    let Ok(mut memory) = Memory::decode(input) else { return };
    assert_eq!(Memory::decode(memory.encode().as_bytes()), Ok(memory.clone()));
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    if let Recollection::Answer { places, age } = memory.recall("s", "o", "a.test", now) {
        assert!(!places.is_empty() && age <= Duration::from_secs(3 * 24 * 60 * 60));
    }
    let is_news = memory.duty("s", "o") != Ok(Duty::Disabled);
    assert_eq!(memory.note_duty("s", "o", Duty::Disabled), is_news);
    assert_eq!(memory.duty("s", "o"), Ok(Duty::Disabled));
}

fn directives_of(response: &HeaderMap) -> ResponseDirectives {
    ResponseDirectives::from_headers(response, &TARGETS)
}

/// The target of an HTTP/1.1 request, if the gate lets it through.
fn accepted(written: &[u8], host: &[u8]) -> Option<Target> {
    let uri = Uri::try_from(written).ok()?;
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_bytes(host).ok()?);
    target("https", &uri, &headers, Version::HTTP_11).ok()
}

fn received_by_next(request: &HeaderMap) -> HeaderMap {
    let trimmed = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes().trim_ascii()).expect("it was a value");
    request.iter().map(|(name, value)| (name.clone(), trimmed(value))).collect()
}

fn times_are_bounded(directives: &ResponseDirectives) {
    let times = [directives.max_age, directives.s_maxage, directives.stale_while_revalidate, directives.stale_if_error];
    assert!(times.into_iter().flatten().all(|time| time <= DELTA_SECONDS_MAX));
}

/// The directives as a plain Cache-Control.
fn written(directives: &ResponseDirectives) -> HeaderValue {
    let times = [
        ("max-age", directives.max_age),
        ("s-maxage", directives.s_maxage),
        ("stale-while-revalidate", directives.stale_while_revalidate),
        ("stale-if-error", directives.stale_if_error),
    ];
    let flags = [
        ("no-store", directives.no_store),
        ("no-cache", directives.no_cache),
        ("private", directives.private),
        ("public", directives.public),
        ("must-revalidate", directives.must_revalidate),
        ("proxy-revalidate", directives.proxy_revalidate),
        ("must-understand", directives.must_understand),
        ("no-transform", directives.no_transform),
    ];
    let withheld: Vec<_> = directives.withheld.iter().map(HeaderName::as_str).collect();
    let qualified = (!withheld.is_empty()).then(|| format!("private=\"{}\"", withheld.join(", ")));
    let times = times.into_iter().filter_map(|(name, time)| Some(format!("{name}={}", time?.as_secs())));
    let flags = flags.into_iter().filter(|(_, stated)| *stated).map(|(name, _)| name.to_owned());
    let members: Vec<_> = times.chain(flags).chain(qualified).collect();
    HeaderValue::try_from(members.join(", ")).expect("directives are ASCII")
}

fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a HeaderValue> {
    headers.get_all(name).iter().collect()
}

/// Any time will do: 1 January 2026.
fn received() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

const UNRELATED: HeaderName = HeaderName::from_static("unrelated");

/// "the cache MUST consider the value to be 2147483648 (2^31) or the greatest positive integer it can conveniently
/// represent" (RFC 9111 §1.2.2).
const DELTA_SECONDS_MAX: Duration = Duration::from_secs(1 << 31);
