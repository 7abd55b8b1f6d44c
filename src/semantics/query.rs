//! Queries as lists of parameters: which of them count (RFC 3986 §3.4, and the WHATWG's URL standard §5.1).
//!
//! A parameter is what stands between two `&`. Some origins take `;` for a separator as well, some ignore case, some
//! decode twice. None of that can be used against the cache, because what is dropped from the key is dropped from the
//! request to the origin too: an origin never sees what the key does not hold, whatever it makes of it.

use std::borrow::Cow;

/// Which parameters of a query are in the key and reach the origin. The default is the query as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryPolicy {
    /// Only these are kept; `None` keeps all.
    pub keep: Option<Vec<ParameterPattern>>,
    /// Of those kept, these are dropped all the same.
    pub drop: Vec<ParameterPattern>,
    /// Sorts by name. Parameters of one name stay in their order, which origins give a meaning.
    pub sort: bool,
}

impl QueryPolicy {
    /// `path_and_query` with what is kept of its query, as written, and without a `?` when that is nothing.
    pub fn reduce<'a>(&self, path_and_query: &'a str) -> Cow<'a, str> {
        if matches!(self, Self { keep: None, drop, sort: false } if drop.is_empty()) {
            return path_and_query.into();
        }
        let Some((path, query)) = path_and_query.split_once('?') else {
            return path_and_query.into();
        };
        let mut kept: Vec<&str> = query.split('&').filter(|parameter| self.keeps(parameter)).collect();
        if self.sort {
            kept.sort_by(|this, other| name(this).cmp(name(other)));
        }
        let mut reduced = String::with_capacity(path_and_query.len());
        reduced.push_str(path);
        for (index, parameter) in kept.into_iter().enumerate() {
            reduced.push(if index == 0 { '?' } else { '&' });
            reduced.push_str(parameter);
        }
        reduced.into()
    }

    /// Nothing between two `&` is no parameter.
    fn keeps(&self, parameter: &str) -> bool {
        let is_one_of = |patterns: &[ParameterPattern]| patterns.iter().any(|pattern| pattern.matches(parameter));
        !parameter.is_empty() && self.keep.as_deref().is_none_or(is_one_of) && !is_one_of(&self.drop)
    }
}

/// A parameter's name, or the beginning of names: `utm_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterPattern {
    /// Percent-encoding decoded.
    bytes: Box<[u8]>,
    is_prefix: bool,
}

impl ParameterPattern {
    /// The pattern as people write it, percent-encoded or not; `None` when it is empty or has `*` elsewhere than at its
    /// end.
    pub fn parse(text: &str) -> Option<Self> {
        let (written, is_prefix) = text.strip_suffix('*').map_or((text, false), |prefix| (prefix, true));
        let is_pattern = !text.is_empty() && !written.contains(|letter: char| letter == '*' || letter.is_control());
        is_pattern.then(|| Self { bytes: decoded(written).collect(), is_prefix })
    }

    /// Names are compared byte by byte and in their case, after decoding: `filter[a]` and `filter%5Ba%5D` are one name
    /// to every origin.
    fn matches(&self, parameter: &str) -> bool {
        let mut name = name(parameter);
        self.bytes.iter().all(|&byte| name.next() == Some(byte)) && (self.is_prefix || name.next().is_none())
    }
}

/// The decoded name of a parameter.
fn name(parameter: &str) -> impl Iterator<Item = u8> {
    decoded(parameter.split_once('=').map_or(parameter, |(name, _)| name))
}

/// The bytes that `text` stands for; a percent sign that begins no triplet stands for itself.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        let triplet = after.first_chunk().filter(|_| first == b'%').and_then(|&digits: &[u8; 2]| octet(digits));
        rest = if triplet.is_some() { &after[2..] } else { after };
        Some(triplet.unwrap_or(first))
    })
}

fn octet(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? << 4 | low?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_policy_the_query_is_as_written() {
        let policy = policy(None, &[], false);
        for written in ["/", "/x?", "/x?&&", "/x?b=2&a=1&b=1", "/x?a=%zz&=&;", "/x?a?b"] {
            check("as written", &policy, written, written);
        }
    }

    #[test]
    fn parameters_that_are_dropped() {
        let policy = policy(None, &["utm_*", "fbclid"], false);
        check("no query", &policy, "/x", "/x");
        check("named", &policy, "/x?fbclid=1&a=2", "/x?a=2");
        check("by their beginning", &policy, "/x?a=2&utm_source=x&utm_=&utm_medium", "/x?a=2");
        check("all there are", &policy, "/x?utm_source=x&fbclid", "/x");
        check("others stay in their order", &policy, "/x?b=1&a=2&fbclid=3&b=0", "/x?b=1&a=2&b=0");
        check("a longer name is another", &policy, "/x?fbclid2=1&xfbclid=2&utm=3", "/x?fbclid2=1&xfbclid=2&utm=3");
        check("another case is another name", &policy, "/x?FBCLID=1", "/x?FBCLID=1");
        check("however it is encoded", &policy, "/x?%66bclid=1&utm%5fsource=2&a=%66", "/x?a=%66");
        check("nothing between two separators", &policy, "/x?&a=1&&b=2&", "/x?a=1&b=2");
        check("an empty query", &policy, "/x?", "/x");
        check("a question mark in the query", &policy, "/x?a=1?fbclid=2&fbclid=3?", "/x?a=1?fbclid=2");
        check("a value without a name", &policy, "/x?=1&fbclid", "/x?=1");
        check("\";\" separates nothing", &policy, "/x?a=1;fbclid=2&fbclid;b=3", "/x?a=1;fbclid=2&fbclid;b=3");
        check("no triplet", &policy, "/x?fbcli%&fbcli%6&fbcli%6g", "/x?fbcli%&fbcli%6&fbcli%6g");
    }

    #[test]
    fn parameters_that_are_kept() {
        let page = policy(Some(&["page", "filter[*"]), &[], false);
        check("named", &page, "/x?page=1&other=2&page=3", "/x?page=1&page=3");
        check(
            "by their beginning, encoded or not",
            &page,
            "/x?filter[a]=1&filter%5Bb%5D=2&filter=3",
            "/x?filter[a]=1&filter%5Bb%5D=2",
        );
        check("none", &page, "/x?other", "/x");
        check("an empty list keeps nothing", &policy(Some(&[]), &[], false), "/x?a=1&b", "/x");
        check("the asterisk alone keeps all", &policy(Some(&["*"]), &[], false), "/x?b=1&a", "/x?b=1&a");
        let but = policy(Some(&["filter_*"]), &["filter_debug"], false);
        check("dropped of what is kept", &but, "/x?filter_a=1&filter_debug=2&b=3", "/x?filter_a=1");
    }

    #[test]
    fn parameters_that_are_sorted() {
        let sort = policy(None, &[], true);
        check("by name", &sort, "/x?b=1&c=0&a=2", "/x?a=2&b=1&c=0");
        check("those of one name in their order", &sort, "/x?b=2&a=1&b=1&b", "/x?a=1&b=2&b=1&b");
        check("one name in two spellings", &sort, "/x?%62=2&a=1&b=1&%62=0", "/x?a=1&%62=2&b=1&%62=0");
        check("by bytes", &sort, "/x?a[]=1&a=2&B=3&a-b=4", "/x?B=3&a=2&a-b=4&a[]=1");
        check("with what is dropped", &policy(None, &["b"], true), "/x?c&b&a", "/x?a&c");
    }

    #[test]
    fn reducing_what_was_reduced_changes_nothing() {
        for policy in [policy(None, &["b*"], true), policy(Some(&["a", "c"]), &[], false), policy(Some(&[]), &[], true)]
        {
            for written in ["/x?b=1&c=0&a=2&&a=1", "/x?%61=1&a=0&c%", "/?", "/x?a&a=&a==;a"] {
                let once = policy.reduce(written);
                assert_eq!(policy.reduce(&once), once, "{policy:?}: {written}");
            }
        }
    }

    #[test]
    fn patterns() {
        for refused in ["", "*a", "a*b", "**", "a\n", "%2A*a"] {
            assert_eq!(ParameterPattern::parse(refused), None, "{refused:?}");
        }
        assert_eq!(ParameterPattern::parse("a%5B%5D"), ParameterPattern::parse("a[]"));
        assert_ne!(ParameterPattern::parse("a"), ParameterPattern::parse("a*"));
    }

    fn policy(keep: Option<&[&str]>, drop: &[&str], sort: bool) -> QueryPolicy {
        let patterns = |texts: &[&str]| {
            texts.iter().map(|text| ParameterPattern::parse(text).expect("a table holds valid patterns")).collect()
        };
        QueryPolicy { keep: keep.map(patterns), drop: patterns(drop), sort }
    }

    fn check(case: &str, policy: &QueryPolicy, written: &str, expected: &str) {
        assert_eq!(policy.reduce(written), expected, "{case}");
    }
}
