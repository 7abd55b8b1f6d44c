//! An error and what caused it, in one line.

use std::error::Error;

/// The text of `error`, then those of its causes that say more than the one before.
pub(super) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !last.contains(&said) {
            text = format!("{text}: {said}");
        }
        last = said;
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Layer {
        said: &'static str,
        source: Option<io::Error>,
    }

    #[test]
    fn a_cause_is_told_once() {
        let over = |said, cause: &str| with_causes(&Layer { said, source: Some(io::Error::other(cause.to_owned())) });
        assert_eq!(over("connection error", "reset"), "connection error: reset");
        assert_eq!(over("connection error: reset", "reset"), "connection error: reset");
        assert_eq!(with_causes(&Layer { said: "refused", source: None }), "refused");
    }
}
