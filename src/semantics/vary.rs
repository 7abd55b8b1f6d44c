//! Which stored variant answers a request (RFC 9111 §4.1, RFC 9110 §12.5.5).

use std::borrow::Cow;

use http::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, DATE, FROM, HOST, HeaderMap, HeaderName,
    IF_MODIFIED_SINCE, IF_RANGE, IF_UNMODIFIED_SINCE, ORIGIN, RANGE, REFERER, USER_AGENT, VARY,
};

use super::field::{self, Members};
use super::field_lines::FieldLines;
use super::{accept_language, content_coding};

/// The response varies by more than request fields, by something that cannot be read, or by more fields than anybody
/// means; it answers no other request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response has a Vary field with a member \"*\", one that is no field name, or more than {FIELDS_MAX}")]
pub struct VaryAny;

/// The request fields that a response nominates, sorted, each once; at most [`FIELDS_MAX`].
pub fn vary_fields(response: &HeaderMap) -> Result<Vec<HeaderName>, VaryAny> {
    let mut fields = Vec::new();
    for member in field::members(response, VARY) {
        // "A stored response with a Vary header field value containing a member "*" always fails to match."
        if member == b"*" {
            return Err(VaryAny);
        }
        fields.push(HeaderName::from_bytes(member).map_err(|_| VaryAny)?);
    }
    fields.sort_unstable_by(|this, other| this.as_str().cmp(other.as_str()));
    fields.dedup();
    if fields.len() > FIELDS_MAX { Err(VaryAny) } else { Ok(fields) }
}

/// The nominated fields of the request that a response was stored for, normalized: field lines in bytes of their own, or
/// lent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Nominated<B = Box<[u8]>>(B);

impl Nominated {
    /// The values of `fields` in `request`.
    pub fn of(fields: &[HeaderName], request: &HeaderMap) -> Self {
        let mut block = Vec::new();
        FieldLines::write_names(fields.iter().map(|name| (name, normalized(name, request))), &mut block);
        Self(block.into())
    }
}

impl<'a> Nominated<&'a [u8]> {
    /// Those with these [bytes](Nominated::as_bytes).
    pub fn lent(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The same with bytes of their own.
    pub fn into_owned(self) -> Nominated {
        Nominated(self.0.into())
    }
}

impl<B: AsRef<[u8]>> Nominated<B> {
    /// What they are kept as.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// "the cache MUST NOT use that stored response without revalidation unless all the presented request header fields
    /// nominated by that Vary field value match those fields in the original request".
    pub fn matches(&self, request: &HeaderMap) -> bool {
        self.iter().all(|(name, value)| matches(&name, value.as_deref(), request))
    }

    /// Whether a request of which no more is known than `known` is selected, as far as that tells.
    pub fn is_part_of(&self, known: &Nominated) -> bool {
        self.iter().all(|nomination| known.iter().any(|known| known == nomination))
    }

    /// Whether the response nominates no field, and so answers every request for its URI.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// The nominated fields, each with its normalized value or none when the request had no such field.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'static, HeaderName>, Option<Cow<'_, [u8]>>)> {
        FieldLines::read(self.as_bytes()).iter()
    }

    /// Bytes held, for memory accounts.
    pub fn size(&self) -> usize {
        self.as_bytes().len()
    }
}

/// Whether `value` is what `request` has in the field `name`.
fn matches(name: &HeaderName, value: Option<&[u8]>, request: &HeaderMap) -> bool {
    if let Some(known) = Known::of(name) {
        return value == known.normalized(request).as_deref().map(str::as_bytes);
    }
    // "If (after any normalization that might take place) a header field is absent from a request, it can only match
    // another request if it is also absent there."
    let Some(value) = value else {
        return !request.contains_key(name);
    };
    let mut rest = Some(value);
    let mut is_first = true;
    for piece in pieces(Syntax::of(name), name, request) {
        if !std::mem::take(&mut is_first) {
            rest = rest.and_then(|rest| rest.strip_prefix(SEPARATOR));
        }
        rest = rest.and_then(|rest| rest.strip_prefix(piece));
    }
    request.contains_key(name) && rest.is_some_and(<[u8]>::is_empty)
}

/// The one line that a request field is sent on as when it is in the key; `None` when the request has none. It is changed
/// no further than its syntax is known, since the origin gets it.
pub(super) fn keyed(name: &HeaderName, request: &HeaderMap) -> Option<Box<[u8]>> {
    let syntax = Syntax::of(name);
    normalized_as(if syntax == Syntax::Unknown { Syntax::Singleton } else { syntax }, name, request)
}

/// The value of a request field that variants are told apart by; `None` when the request has none.
fn normalized(name: &HeaderName, request: &HeaderMap) -> Option<Box<[u8]>> {
    normalized_as(Syntax::of(name), name, request)
}

fn normalized_as(syntax: Syntax, name: &HeaderName, request: &HeaderMap) -> Option<Box<[u8]>> {
    if let Some(known) = Known::of(name) {
        return known.normalized(request).map(|value| value.as_bytes().into());
    }
    if !request.contains_key(name) {
        return None;
    }
    let pieces: Vec<_> = pieces(syntax, name, request).collect();
    Some(pieces.join(SEPARATOR).into())
}

/// A field with a normal form of its own, in which it also reaches the origin.
enum Known {
    AcceptEncoding,
    AcceptLanguage,
}

impl Known {
    fn of(name: &HeaderName) -> Option<Self> {
        match *name {
            ACCEPT_ENCODING => Some(Self::AcceptEncoding),
            ACCEPT_LANGUAGE => Some(Self::AcceptLanguage),
            _ => None,
        }
    }

    fn normalized(&self, request: &HeaderMap) -> Option<Cow<'static, str>> {
        match self {
            Self::AcceptEncoding => Some(content_coding::normalize(request).into()),
            Self::AcceptLanguage => accept_language::normalize(request).map(Cow::from),
        }
    }
}

/// What is left of a field after "adding or removing whitespace, where allowed in the header field's syntax" and
/// "combining multiple header field lines with the same field name".
fn pieces<'a>(syntax: Syntax, name: &HeaderName, request: &'a HeaderMap) -> impl Iterator<Item = &'a [u8]> {
    request.get_all(name).iter().map(|line| line.as_bytes()).flat_map(move |line| {
        let members = (syntax == Syntax::List).then(|| Members::new(line)).into_iter().flatten();
        // Whitespace inside a quoted string means something, wherever in a field of unknown syntax one may be.
        let is_split = syntax == Syntax::Unknown && !line.contains(&b'"');
        let parts = is_split.then(|| line.split(|&byte| byte == b',')).into_iter().flatten();
        let whole = (syntax != Syntax::List && !is_split).then_some(line);
        members.chain(parts.chain(whole).map(field::trim))
    })
}

/// What is known of a field's syntax.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Syntax {
    /// `#element`: empty members and whitespace around members mean nothing (RFC 9110 §5.6.1).
    List,
    /// One value, in which a comma is a byte like any other.
    Singleton,
    /// A list or a value without commas, as nearly all are: whitespace around a comma means nothing, though nothing between
    /// two of them may mean something.
    Unknown,
}

impl Syntax {
    fn of(name: &HeaderName) -> Self {
        match name.as_str() {
            text if text.starts_with("accept") => Self::List,
            _ if SINGLETONS.contains(name) => Self::Singleton,
            _ => Self::Unknown,
        }
    }
}

/// Most fields that a response may nominate: more make no variants that anybody asks for twice.
pub const FIELDS_MAX: usize = 16;

/// Request fields whose values may have commas and are no lists.
const SINGLETONS: [HeaderName; 12] = [
    AUTHORIZATION,
    COOKIE,
    DATE,
    FROM,
    HOST,
    IF_MODIFIED_SINCE,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    ORIGIN,
    RANGE,
    REFERER,
    USER_AGENT,
];

const SEPARATOR: &[u8] = b", ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::field::fields;

    const ACCEPT: &str = "accept";
    const LANGUAGE: &str = "accept-language";

    #[test]
    fn the_fields_that_vary_nominates() {
        check_fields("no Vary", &[], Ok(&[]));
        check_fields("an empty Vary", &[""], Ok(&[]));
        check_fields("sorted, each once", &["Origin, Accept , origin"], Ok(&["accept", "origin"]));
        check_fields("several lines", &["origin", "accept"], Ok(&["accept", "origin"]));
        check_fields("a member \"*\"", &["*"], Err(VaryAny));
        check_fields("a member \"*\" among others", &["accept", "origin, *"], Err(VaryAny));
        let many: Vec<_> = (10..10 + FIELDS_MAX).map(|number| format!("x-{number}")).collect();
        let names: Vec<_> = many.iter().map(String::as_str).collect();
        check_fields("as many as may be", &[&many.join(","), &many.join(",")], Ok(&names));
        check_fields("one more", &[&many.join(","), "accept"], Err(VaryAny));
        for unreadable in ["acc ept", "accept;q=1", "\"accept\"", "é", "accept: x"] {
            check_fields("no field name", &[unreadable], Err(VaryAny));
        }
    }

    #[test]
    fn the_header_fields_from_two_requests_are_defined_to_match() {
        check("no field nominated", "", &[], &[(ACCEPT, "x")], true);
        check("the same", ACCEPT, &[(ACCEPT, "x")], &[(ACCEPT, "x")], true);
        check("another", ACCEPT, &[(ACCEPT, "x")], &[(ACCEPT, "y")], false);
        check("longer", ACCEPT, &[(ACCEPT, "x")], &[(ACCEPT, "x, y")], false);
        check("shorter", ACCEPT, &[(ACCEPT, "x, y")], &[(ACCEPT, "x")], false);
        check("absent in both", ACCEPT, &[], &[], true);
        check("absent there", ACCEPT, &[], &[(ACCEPT, "x")], false);
        check("absent here", ACCEPT, &[(ACCEPT, "x")], &[], false);
        check("absent is not empty", ACCEPT, &[], &[(ACCEPT, "")], false);
        check("empty is not absent", ACCEPT, &[(ACCEPT, "")], &[], false);
        check("both empty", "origin", &[("origin", "")], &[("origin", "")], true);
        check(
            "whitespace, where allowed",
            LANGUAGE,
            &[(LANGUAGE, "de,en ;q=1")],
            &[(LANGUAGE, " de ,  en ;q=1")],
            true,
        );
        check("whitespace around a comma", "x", &[("x", "1,2")], &[("x", " 1, 2 ")], true);
        check("whitespace elsewhere", "x", &[("x", "a b")], &[("x", "a  b")], false);
        check("whitespace in a quoted string", "x", &[("x", "\"a,b\"")], &[("x", "\"a, b\"")], false);
        check("an empty member of what may be no list", "x", &[("x", "a,,b")], &[("x", "a,b")], false);
        check("an empty member of a list", ACCEPT, &[(ACCEPT, "a,,b")], &[(ACCEPT, "a,b")], true);
        for single in ["user-agent", "cookie", "referer", "if-modified-since"] {
            check("whitespace where it means something", single, &[(single, "a,b")], &[(single, "a, b")], false);
        }
        check("whitespace at the ends", "x", &[("x", " a\t")], &[("x", "a")], true);
        check("several lines", LANGUAGE, &[(LANGUAGE, "de, en")], &[(LANGUAGE, "de"), (LANGUAGE, "en")], true);
        check("several lines", "x", &[("x", "a"), ("x", "b")], &[("x", "a, b")], true);
        check("another order", ACCEPT, &[(ACCEPT, "a, b")], &[(ACCEPT, "b, a")], false);
        check("the same languages", LANGUAGE, &[(LANGUAGE, "DE, en;q=0.50")], &[(LANGUAGE, "en;q=0.5,de;q=1")], true);
        check("other languages", LANGUAGE, &[(LANGUAGE, "de, en;q=0.5")], &[(LANGUAGE, "de, en;q=0.6")], false);
        check("no language is as none", LANGUAGE, &[(LANGUAGE, "de_DE")], &[], true);
        check("bytes that are no text", "x", &[("x", "é")], &[("x", "è")], false);
        check("one of two", "accept, x", &[(ACCEPT, "x"), ("x", "1")], &[(ACCEPT, "x"), ("x", "2")], false);

        let coding = |value| [("accept-encoding", value)];
        let vary = "Accept-Encoding";
        check("the same codings", vary, &coding("gzip, br"), &coding("br;q=0.9, deflate, gzip"), true);
        check("other codings", vary, &coding("gzip, br"), &coding("gzip"), false);
        check("absent is none", vary, &coding("identity"), &[], true);
        check("absent is not gzip", vary, &[], &coding("gzip"), false);
    }

    #[test]
    fn requests_match_if_their_normal_forms_are_one() {
        let mut random = fastrand::Rng::with_seed(9111);
        let names = ["accept", "accept-language", "accept-encoding", "x", "user-agent"];
        let pieces = ["a", "b", "gzip", "de", ",", ", ", " ,", " ", "\"", ";q=0.5", ";q=1", "*"];
        let mut matched = 0;
        for _ in 0..50_000 {
            let name = names[random.usize(..names.len())];
            let mut request = || {
                let mut line =
                    || (0..random.usize(..5)).map(|_| pieces[random.usize(..pieces.len())]).collect::<String>();
                let lines = [line(), line()];
                let lines: Vec<_> = lines[..random.usize(..3)].iter().map(|line| (name, line.as_str())).collect();
                fields(&lines)
            };
            let (stored, presented) = (request(), request());
            let names = [HeaderName::from_static(name)];
            let nominated = Nominated::of(&names, &stored);
            assert!(nominated.matches(&stored), "{stored:?}");
            let expected = nominated == Nominated::of(&names, &presented);
            assert_eq!(nominated.matches(&presented), expected, "{stored:?} {presented:?}");
            matched += usize::from(expected && stored != presented);
        }
        assert!(matched > 1000, "only {matched} pairs were alike");
    }

    #[test]
    fn common_names_and_values_take_a_byte_each() {
        let request = fields(&[(ACCEPT, "text/html")]);
        let names = vary_fields(&fields(&[("vary", "accept, x")])).expect("both are names");
        assert_eq!(Nominated::of(&names, &request).size(), "aT".len() + "1x-".len());
        assert!(!Nominated::of(&names, &request).is_empty());
        assert!(Nominated::of(&[], &request).is_empty());
    }

    #[test]
    fn a_request_is_selected_as_far_as_is_known_of_it() {
        let request = fields(&[(ACCEPT, "text/html")]);
        let of = |names: &str, request: &HeaderMap| {
            let names = vary_fields(&fields(&[("vary", names)])).expect("all are names");
            Nominated::of(&names, request)
        };
        let known = of("accept, origin", &request);
        for names in ["", "accept", "origin", "accept, origin"] {
            assert!(of(names, &request).is_part_of(&known), "{names}");
        }
        assert!(!of("accept", &fields(&[(ACCEPT, "image/*")])).is_part_of(&known));
        assert!(!of("user-agent", &request).is_part_of(&known));
    }

    fn check_fields(case: &str, lines: &[&str], expected: Result<&[&str], VaryAny>) {
        let lines: Vec<_> = lines.iter().map(|&line| ("vary", line)).collect();
        let names = vary_fields(&fields(&lines));
        let names = names.as_ref().map(|names| names.iter().map(HeaderName::as_str).collect::<Vec<_>>());
        assert_eq!(names.map_err(|error| *error), expected.map(<[_]>::to_vec), "{case}: {lines:?}");
    }

    fn check(
        case: &str,
        vary: &str,
        stored: &[(&'static str, &str)],
        presented: &[(&'static str, &str)],
        expected: bool,
    ) {
        let names = vary_fields(&fields(&[("vary", vary)])).expect("a table holds valid names");
        let nominated = Nominated::of(&names, &fields(stored));
        assert_eq!(nominated.matches(&fields(presented)), expected, "{case}: {stored:?} {presented:?}");
        assert_eq!(nominated == Nominated::of(&names, &fields(presented)), expected, "{case}, both normalized");
    }
}
