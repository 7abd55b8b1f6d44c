//! Accept-Language in one form (RFC 9110 §12.5.4).

use http::header::ACCEPT_LANGUAGE;
use http::{HeaderMap, HeaderValue};

use super::field;

/// What the request accepts: language ranges in lower case, the most wanted first, `*` after its equals, each once, with
/// weights in their shortest form and none for 1. `None` for a request that names no language.
///
/// Requests that differ in nothing else share a variant; origins see this text in place of the client's, so that what is
/// shared is what every one of them would have got. Languages of equal weight are put into the order of the alphabet: "Note
/// that some recipients treat the order in which language tags are listed as an indication of descending priority,
/// particularly for tags that are assigned equal quality values (no value is the same as q=1). However, this behavior
/// cannot be relied upon." Members that are no language range, or whose weight is invalid, are left out, and so are those
/// past the first [`LANGUAGES_MAX`].
pub fn normalize(request: &HeaderMap) -> Option<String> {
    let members = field::members(request, ACCEPT_LANGUAGE).take(LANGUAGES_MAX);
    let mut languages: Vec<Language> = members.filter_map(Language::parse).collect();
    languages.sort_by(|this, other| this.range.cmp(&other.range).then(other.weight.cmp(&this.weight)));
    // Of several weights of one range, the largest.
    languages.dedup_by(|other, first| other.range == first.range);
    languages.sort_by_key(|language| (field::WEIGHT_MAX - language.weight, language.range == "*"));
    let mut text = String::new();
    for language in &languages {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&language.range);
        if language.weight < field::WEIGHT_MAX {
            text.push_str(";q=");
            text.push_str(&shortest(language.weight));
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Puts the normalized value in place of the client's.
///
/// Every request whose answer may be stored needs this, because variants are told apart by the normalized value.
pub fn replace(request: &mut HeaderMap) {
    if !request.contains_key(ACCEPT_LANGUAGE) {
        return;
    }
    let normal = normalize(request).and_then(|text| HeaderValue::try_from(text).ok());
    request.remove(ACCEPT_LANGUAGE);
    if let Some(value) = normal {
        request.insert(ACCEPT_LANGUAGE, value);
    }
}

struct Language {
    range: String,
    /// In thousandths.
    weight: u16,
}

impl Language {
    /// `language-range [ weight ]`, where the range is one of RFC 4647 §2.1 or §2.2.
    fn parse(member: &[u8]) -> Option<Self> {
        let (range, weight) = match member.iter().position(|&byte| byte == b';') {
            Some(at) => (field::trim(&member[..at]), field::quality(&member[at + 1..])?),
            None => (member, field::WEIGHT_MAX),
        };
        let is_range = (1..=RANGE_BYTES_MAX).contains(&range.len())
            && range.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'*');
        let range = std::str::from_utf8(range).ok().filter(|_| is_range)?;
        // "Language tags and their subtags […] are to be treated as case insensitive" (RFC 5646 §2.1.1).
        Some(Self { range: range.to_ascii_lowercase(), weight })
    }
}

/// A weight below 1: `0.5` for 500.
fn shortest(thousandths: u16) -> String {
    let digits = format!("{thousandths:03}");
    match digits.trim_end_matches('0') {
        "" => "0".to_owned(),
        digits => format!("0.{digits}"),
    }
}

/// Nobody reads more languages; what comes later would only make variants.
const LANGUAGES_MAX: usize = 32;

/// What RFC 5646 §4.4.1 derives for the longest tags in use.
const RANGE_BYTES_MAX: usize = 35;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_language() {
        check("no field", &[], None);
        check("an empty field", &[""], None);
        check("one", &["de"], Some("de"));
        check(
            "what browsers send",
            &["de-CH,de;q=0.9,en-US;q=0.8,en;q=0.7"],
            Some("de-ch, de;q=0.9, en-us;q=0.8, en;q=0.7"),
        );
        check("whitespace", &[" de ,\ten ; q=0.5 ,, "], Some("de, en;q=0.5"));
        check("several lines", &["en;q=0.5", "de"], Some("de, en;q=0.5"));
        check("no value is the same as q=1", &["de;q=1, en;q=1.000, fr"], Some("de, en, fr"));
        check(
            "the shortest weight",
            &["a;q=0.500,b;q=0.250,c;q=0.125,d;Q=0.05,e;q=0.001"],
            Some("a;q=0.5, b;q=0.25, c;q=0.125, d;q=0.05, e;q=0.001"),
        );
        check("a weight of 0 means not acceptable", &["en;q=0, de, fr;q=0.0"], Some("de, en;q=0, fr;q=0"));
        check("the order of equal weights cannot be relied upon", &["fr, en, de"], Some("de, en, fr"));
        check("the asterisk after its equals", &["*, de;q=0.5, zh, *-CH;q=0.5"], Some("zh, *, *-ch;q=0.5, de;q=0.5"));
        check("one range with several weights", &["de;q=0.2, de;q=0.8, DE;q=0.5"], Some("de;q=0.8"));
        check("no language range", &["de_DE, \"de\", d e, , é, de"], Some("de"));
        check("an invalid weight", &["de;q=2, en;q=, fr;level=1, es;q=0.5;x, it"], Some("it"));
        check("nothing valid", &["de_DE;q=1"], None);
        let long = "x".repeat(RANGE_BYTES_MAX);
        check("a long range", &[&long], Some(&long));
        check("a longer one", &[&format!("{long}x")], None);
        let many: Vec<_> = (100..100 + 2 * LANGUAGES_MAX).map(|number| format!("x-{number}")).collect();
        check("more than the bound", &[&many.join(",")], Some(&many[..LANGUAGES_MAX].join(", ")));
    }

    #[test]
    fn a_normal_form_is_its_own() {
        let mut random = fastrand::Rng::with_seed(9110);
        let pieces = ["de", "EN-us", "*", "fr", " ", ",", ", ", ";", ";q=", "0", "0.5", "1", ".", "0.25", "x_y", "\""];
        for _ in 0..20_000 {
            let line: String = (0..random.usize(..12)).map(|_| pieces[random.usize(..pieces.len())]).collect();
            let Some(once) = normalize(&field::fields(&[("accept-language", &line)])) else { continue };
            let mut request = field::fields(&[("accept-language", &once)]);
            assert_eq!(normalize(&request).as_ref(), Some(&once), "{line:?}");
            replace(&mut request);
            assert_eq!(request, field::fields(&[("accept-language", &once)]), "{line:?}");
        }
    }

    fn check(case: &str, lines: &[&str], expected: Option<&str>) {
        let lines: Vec<_> = lines.iter().map(|&line| ("accept-language", line)).collect();
        assert_eq!(normalize(&field::fields(&lines)).as_deref(), expected, "{case}: {lines:?}");
    }
}
