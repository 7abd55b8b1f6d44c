//! Accept-Encoding and the choice among codings that it leaves (RFC 9110 §8.4.1, §12.5.3).

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

use super::field;

/// A content coding that makes a difference here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// `br` (RFC 7932).
    Brotli,
    /// `gzip` (RFC 1952).
    Gzip,
    /// `zstd` (RFC 8878), with a window of 8 MiB at most (RFC 9659).
    Zstd,
}

impl ContentCoding {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Gzip, Self::Zstd];

    /// The coding's name in Content-Encoding and Accept-Encoding.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        // "A recipient SHOULD consider "x-gzip" to be equivalent to "gzip"." (§8.4.1.3)
        let known = |coding: &Self| coding.as_str().as_bytes().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(known).or_else(|| name.eq_ignore_ascii_case(b"x-gzip").then_some(Self::Gzip))
    }
}

/// What the Accept-Encoding of a request accepts, by weight in thousandths; 0 is not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedCodings {
    /// By coding, as [`ContentCoding`] declares them.
    weights: [u16; 3],
    /// Of a response without a coding, when the field says something of it.
    identity: Option<u16>,
}

impl AcceptedCodings {
    /// What `request` accepts. One without the field accepts any coding; it gets none, since that is what such clients
    /// can read.
    pub fn of(request: &HeaderMap) -> Self {
        let (mut weights, mut identity, mut any) = ([None; 3], None, None);
        for member in field::members(request, ACCEPT_ENCODING) {
            let (coding, weight) = match member.iter().position(|&byte| byte == b';') {
                Some(at) => (field::trim(&member[..at]), field::quality(&member[at + 1..]).unwrap_or(0)),
                None => (member, field::WEIGHT_MAX),
            };
            let accepted = match ContentCoding::named(coding) {
                Some(coding) => &mut weights[coding as usize],
                None if coding.eq_ignore_ascii_case(b"identity") => &mut identity,
                // "The asterisk "*" symbol in an Accept-Encoding field matches any available content coding not
                // explicitly listed in the field."
                None if coding == b"*" => &mut any,
                None => continue,
            };
            accepted.get_or_insert(weight);
        }
        // "If the representation has no content coding, then it is acceptable by default unless specifically excluded by
        // the Accept-Encoding header field stating either "identity;q=0" or "*;q=0" without a more specific entry for
        // "identity"."
        let identity = identity.or(any.filter(|&weight| weight == 0));
        Self { weights: weights.map(|weight| weight.or(any).unwrap_or(0)), identity }
    }

    /// Whether a response in `coding` is acceptable.
    pub fn accepts(&self, coding: ContentCoding) -> bool {
        self.weights[coding as usize] > 0
    }

    /// Whether a response without a coding is acceptable.
    pub fn accepts_identity(&self) -> bool {
        self.identity != Some(0)
    }

    /// Whether `coding` is acceptable, and the client would not rather have none.
    fn prefers(&self, coding: ContentCoding) -> bool {
        self.accepts(coding) && self.identity.is_none_or(|identity| identity <= self.weights[coding as usize])
    }
}

/// What there is of a response in one coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It can be sent.
    Made,
    /// It was tried, and is of no use.
    Refused,
    /// Nobody has tried.
    Unmade,
}

/// The coding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// To be sent; `None` is the response without a coding.
    pub coding: Option<ContentCoding>,
    /// To be made for the next one who asks the same: better than `coding`, and not tried yet.
    pub wanted: Option<ContentCoding>,
}

/// Chooses among the codings of `order`, which is the server's order of preference, those that are `accepted` and there.
///
/// A client's weights say what it can do without, not what is small, so that they decide only between a coding and none.
/// Where nothing acceptable is there, the response without a coding is better than none: "the origin server can either
/// honor the header field by sending a 406 (Not Acceptable) response or disregard the header field by treating the
/// response as if it is not subject to content negotiation for that request header field" (§12.4.1).
pub fn negotiate(
    accepted: &AcceptedCodings,
    order: &[ContentCoding],
    availability: impl Fn(ContentCoding) -> Availability,
) -> Negotiated {
    let mut wanted = None;
    for &coding in order.iter().filter(|&&coding| accepted.prefers(coding)) {
        match availability(coding) {
            Availability::Made => return Negotiated { coding: Some(coding), wanted },
            Availability::Refused => {}
            Availability::Unmade => wanted = wanted.or(Some(coding)),
        }
    }
    Negotiated { coding: None, wanted }
}

/// What the request accepts of `br`, `gzip` and `zstd`, as one of eight field values; empty for none.
///
/// Origins see this value instead of the client's, so that eight variants at most are stored of a response.
pub fn normalize(request: &HeaderMap) -> &'static str {
    let accepted = AcceptedCodings::of(request);
    match ContentCoding::ALL.map(|coding| accepted.accepts(coding)) {
        [false, false, false] => "",
        [false, false, true] => "zstd",
        [false, true, false] => "gzip",
        [false, true, true] => "gzip, zstd",
        [true, false, false] => "br",
        [true, false, true] => "br, zstd",
        [true, true, false] => "br, gzip",
        [true, true, true] => "br, gzip, zstd",
    }
}

/// Puts the normalized value in place of the client's; without any coding, the field is left out.
///
/// Every request whose answer may be stored needs this, because variants are told apart by the normalized value.
pub fn replace(request: &mut HeaderMap) {
    let codings = normalize(request);
    request.remove(ACCEPT_ENCODING);
    if !codings.is_empty() {
        request.insert(ACCEPT_ENCODING, HeaderValue::from_static(codings));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_encoding() {
        check("no field", &[], "");
        check("an empty field accepts identity", &[""], "");
        check("what browsers send", &["gzip, deflate, br, zstd"], "br, gzip, zstd");
        check("order and case do not matter", &["ZSTD,  GZip"], "gzip, zstd");
        check("one", &["gzip"], "gzip");
        check("one", &["br"], "br");
        check("one", &["zstd"], "zstd");
        check("two", &["br, zstd"], "br, zstd");
        check("two", &["br, gzip"], "br, gzip");
        check("several lines", &["gzip", "br"], "br, gzip");
        check("other codings make no difference", &["deflate, compress, identity, dcb, dcz, snappy"], "");
        check("x-gzip is equivalent to gzip", &["x-gzip"], "gzip");
        check("a value of 0 means not acceptable", &["gzip;q=0, br;q=0.0, zstd;q=0.000"], "");
        check("any other weight is acceptable", &["gzip;q=0.001, br ; q=1.000, zstd;Q=1"], "br, gzip, zstd");
        check("the asterisk matches what is not listed", &["*"], "br, gzip, zstd");
        check("the asterisk matches what is not listed", &["gzip;q=0, *;q=0.5"], "br, zstd");
        check("the asterisk, not acceptable", &["br, *;q=0"], "br");
        check("the first occurrence counts", &["gzip;q=0, gzip"], "");
        for invalid in [
            "gzip;",
            "gzip;q",
            "gzip;q=",
            "gzip;q=2",
            "gzip;q=-1",
            "gzip;q=0.0001",
            "gzip;q=1.1",
            "gzip;q= 1",
            "gzip q=1",
        ] {
            check("an invalid weight accepts nothing", &[invalid], "");
        }
    }

    #[test]
    fn the_server_chooses_among_what_is_accepted_and_there() {
        use Availability::{Made, Refused, Unmade};
        use ContentCoding::{Brotli, Gzip, Zstd};
        let all = "gzip, br, zstd";
        check_choice("nothing is made yet", all, [Unmade; 3], None, Some(Brotli));
        check_choice("the server's order counts", all, [Made; 3], Some(Brotli), None);
        check_choice(
            "what is there, until what is better is made",
            all,
            [Unmade, Made, Unmade],
            Some(Gzip),
            Some(Brotli),
        );
        check_choice("what was refused is not tried again", all, [Refused, Unmade, Unmade], None, Some(Zstd));
        check_choice("what was refused is not tried again", all, [Refused; 3], None, None);
        check_choice("nothing worse is made beside what is there", all, [Refused, Unmade, Made], Some(Zstd), None);
        check_choice("only what is accepted", "gzip", [Made; 3], Some(Gzip), None);
        check_choice("only what is accepted", "gzip", [Made, Unmade, Made], None, Some(Gzip));
        check_choice("a value of 0 means not acceptable", "br;q=0, *", [Made; 3], Some(Zstd), None);
        check_choice("an empty field accepts identity", "", [Made; 3], None, None);
        check_choice("identity alone", "identity", [Made; 3], None, None);
        check_choice("identity excluded", "gzip, identity;q=0", [Made; 3], Some(Gzip), None);
        check_choice("all others excluded", "*;q=0, gzip", [Made; 3], Some(Gzip), None);
        check_choice("nothing acceptable is there", "gzip, *;q=0", [Made, Unmade, Made], None, Some(Gzip));
        check_choice("weights among codings do not count", "br;q=0.1, gzip", [Made; 3], Some(Brotli), None);
        check_choice("rather none than this one", "br;q=0.5, identity", [Made; 3], None, None);
        check_choice("rather none than this one", "br;q=0.5, gzip, identity;q=0.8", [Made; 3], Some(Gzip), None);
        check_choice("as well this one", "br;q=0.5, identity;q=0.5", [Made; 3], Some(Brotli), None);
    }

    #[test]
    fn identity_is_acceptable_unless_excluded() {
        for (line, expected) in [
            ("", true),
            ("gzip", true),
            ("*", true),
            ("*;q=0", false),
            ("identity;q=0", false),
            ("identity;q=0.1, *;q=0", true),
            ("identity;q=0, *", false),
            ("Identity;q=0.0", false),
        ] {
            let request = field::fields(&[("accept-encoding", line)]);
            assert_eq!(AcceptedCodings::of(&request).accepts_identity(), expected, "{line:?}");
        }
    }

    fn check_choice(
        case: &str,
        line: &str,
        availability: [Availability; 3],
        coding: Option<ContentCoding>,
        wanted: Option<ContentCoding>,
    ) {
        let accepted = AcceptedCodings::of(&field::fields(&[("accept-encoding", line)]));
        let order = [ContentCoding::Brotli, ContentCoding::Zstd, ContentCoding::Gzip];
        let found = negotiate(&accepted, &order, |coding| availability[coding as usize]);
        assert_eq!(found, Negotiated { coding, wanted }, "{case}: {line:?}, {availability:?}");
    }

    fn check(case: &str, lines: &[&str], expected: &str) {
        let lines: Vec<_> = lines.iter().map(|&line| ("accept-encoding", line)).collect();
        assert_eq!(normalize(&field::fields(&lines)), expected, "{case}: {lines:?}");
    }
}
