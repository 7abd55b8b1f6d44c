//! Whether a client is told more about its response than others are.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::model::Secret;

/// Takes the request field for it out of `request`, so that no origin, key or variant ever depends on it; whether it
/// holds the node's token.
pub fn is_authorized(token: Option<&Secret>, request: &mut HeaderMap) -> bool {
    // Hardly any request has it, and comparing names costs less than to look one up.
    if !request.keys().any(|name| *name == HOLDOVER_DEBUG) {
        return false;
    }
    let presented = request.remove(HOLDOVER_DEBUG);
    token.zip(presented.as_ref().map(HeaderValue::as_bytes)).is_some_and(|(token, presented)| token.is(presented))
}

/// The request field that holds the token.
const HOLDOVER_DEBUG: HeaderName = HeaderName::from_static("holdover-debug");

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "correct-horse-battery";

    #[track_caller]
    fn check(token: Option<&str>, lines: &[(&'static str, &str)], expected: bool) {
        let token = token.map(|token| Secret::new(token.to_owned()));
        let mut request: HeaderMap = lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        assert_eq!(is_authorized(token.as_ref(), &mut request), expected, "{lines:?}");
        assert!(!request.contains_key(HOLDOVER_DEBUG), "{lines:?}");
    }

    #[test]
    fn only_the_token_of_the_node_authorizes() {
        check(Some(TOKEN), &[("holdover-debug", TOKEN)], true);
        check(Some(TOKEN), &[("holdover-debug", "correct-horse-batterie")], false);
        check(Some(TOKEN), &[("holdover-debug", "")], false);
        check(Some(TOKEN), &[("authorization", "Bearer correct-horse-battery")], false);
        check(Some(TOKEN), &[], false);
        check(Some(TOKEN), &[("holdover-debug", "1"), ("holdover-debug", TOKEN)], false);
        check(None, &[("holdover-debug", TOKEN)], false);
        check(None, &[("holdover-debug", "")], false);
    }
}
