//! What a site takes from every response of its origins and adds to it, whichever way it came.

use super::outcome::Answer;
use crate::config::model::ResponsePolicy;

/// Makes the answer what clients of the site get.
pub fn dress(answer: &mut Answer, policy: &ResponsePolicy) {
    let headers = answer.response.headers_mut();
    for name in &policy.consumed {
        headers.remove(name);
    }
}
