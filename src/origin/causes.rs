//! An error and what caused it, in one line.

use std::error::Error;
use std::io;

use rustls::AlertDescription;

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
    if wants_certificate(error) {
        text += "; the origin asks for a client certificate, see client_certificate";
    }
    text
}

/// Whether the other end of a TLS connection refused it for want of a certificate. In TLS 1.3 that comes after the
/// handshake.
fn wants_certificate(error: &(dyn Error + 'static)) -> bool {
    let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    inner.is_some_and(|inner| inner.downcast_ref() == Some(&alert)) || error.source().is_some_and(wants_certificate)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_certificate_that_is_asked_for_is_told_in_words() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        let told = with_causes(&Layer { said: "connection error", source: Some(io::Error::other(alert)) });
        let expected = "connection error: received fatal alert: CertificateRequired; the origin asks for a client \
                        certificate, see client_certificate";
        assert_eq!(told, expected);
    }
}
