//! From when until when a chain of certificates is good, found with the verifier that handshakes use.
//!
//! A verifier that is asked about another time than the present says which certificate is not good then, and when that one
//! begins or ends. So no certificate has to be read here, and what counts is the chain that was verified: an intermediate
//! that ends before its leaf ends both.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::{CertificateError, Error};

/// When a chain is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// When the origin's own certificate begins; `None` when that is not told.
    pub not_before: Option<SystemTime>,
    /// When the first certificate of the chain ends; `None` when that is not told, or after the year 2200.
    pub not_after: Option<SystemTime>,
}

impl Validity {
    /// What `verify` says of a chain that is good at present.
    pub fn of(verify: impl Fn(UnixTime) -> Result<(), Error>) -> Self {
        let mut not_after = None;
        let mut asked = DISTANT;
        for _ in 0..ROUNDS_MAX {
            // At its own last second the certificate is good; another one may not be.
            match end_told(verify(UnixTime::since_unix_epoch(asked))) {
                Some(end) if end < asked => (not_after, asked) = (Some(end), end),
                Some(_) | None => break,
            }
        }
        let not_before = beginning_told(verify(UnixTime::since_unix_epoch(Duration::ZERO)));
        let wall = |time: Duration| UNIX_EPOCH + time;
        Self { not_before: not_before.filter(|begin| *begin < DISTANT).map(wall), not_after: not_after.map(wall) }
    }

    /// From beginning to end.
    pub fn lifetime(&self) -> Option<Duration> {
        self.not_after?.duration_since(self.not_before?).ok()
    }
}

fn end_told(verified: Result<(), Error>) -> Option<Duration> {
    match verified {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(since_1970(not_after))
        }
        Ok(()) | Err(_) => None,
    }
}

fn beginning_told(verified: Result<(), Error>) -> Option<Duration> {
    match verified {
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
            Some(since_1970(not_before))
        }
        Ok(()) | Err(_) => None,
    }
}

fn since_1970(time: UnixTime) -> Duration {
    Duration::from_secs(time.as_secs())
}

/// The year 2200: what ends later is nobody's concern yet.
const DISTANT: Duration = Duration::from_secs(230 * 365 * 24 * 60 * 60);

/// The longest chain that is verified has a leaf and six intermediates.
const ROUNDS_MAX: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    /// Certificates from the leaf on, by their first and last day.
    #[track_caller]
    fn check(chain: &[(u64, u64)], expected: (Option<u64>, Option<u64>)) {
        let verify = |time: UnixTime| {
            for (begin, end) in chain.iter().map(|(begin, end)| (begin * DAY, end * DAY)) {
                let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
                let fault = match time.as_secs() {
                    now if now < begin => CertificateError::NotValidYetContext { time, not_before: at(begin) },
                    now if now > end => CertificateError::ExpiredContext { time, not_after: at(end) },
                    _ => continue,
                };
                return Err(Error::InvalidCertificate(fault));
            }
            Ok(())
        };
        let day = |day: u64| UNIX_EPOCH + Duration::from_secs(day * DAY);
        let expected = Validity { not_before: expected.0.map(day), not_after: expected.1.map(day) };
        assert_eq!(Validity::of(verify), expected, "{chain:?}");
    }

    #[test]
    fn a_chain_ends_with_the_first_of_its_certificates() {
        check(&[(10, 100)], (Some(10), Some(100)));
        check(&[(10, 100), (5, 500)], (Some(10), Some(100)));
        check(&[(10, 100), (5, 50)], (Some(10), Some(50)));
        check(&[(10, 100), (5, 90), (1, 80), (1, 70), (1, 60), (1, 50), (1, 40)], (Some(10), Some(40)));
    }

    #[test]
    fn what_has_no_end_in_sight_has_none() {
        check(&[(10, 800_000)], (Some(10), None));
        check(&[(10, 800_000), (5, 50)], (Some(10), Some(50)));
        check(&[(0, 100)], (None, Some(100)));
    }

    #[test]
    fn a_verifier_that_says_nothing_of_time_is_not_asked_for_ever() {
        let silent = |_| Err(Error::InvalidCertificate(CertificateError::Expired));
        assert_eq!(Validity::of(silent), Validity::default());
        let standing_still =
            |time: UnixTime| Err(Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after: time }));
        assert_eq!(Validity::of(standing_still), Validity::default());
    }

    #[test]
    fn the_lifetime_is_known_with_both_ends() {
        let at = |day| Some(UNIX_EPOCH + Duration::from_secs(day * DAY));
        for (not_before, not_after, days) in
            [(at(10), at(100), Some(90)), (at(10), None, None), (None, at(100), None), (at(100), at(10), None)]
        {
            let lifetime = Validity { not_before, not_after }.lifetime();
            assert_eq!(lifetime, days.map(|days| Duration::from_secs(days * DAY)));
        }
    }

    const DAY: u64 = 24 * 60 * 60;
}
