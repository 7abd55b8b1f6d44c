//! What a site takes from every response of its origins and adds to it, whichever way it came.

use http::HeaderMap;

use crate::config::model::ResponsePolicy;

/// Makes a response's fields what clients of the site get.
pub fn dress(headers: &mut HeaderMap, policy: &ResponsePolicy) {
    for name in &policy.consumed {
        headers.remove(name);
    }
}
