//! The fields of hits, kept for the next hit on the same response within the same second.
//!
//! Between two ticks of `Age` all clients of a response get the same fields, and to put them together costs several times
//! what a copy does. Only what is asked for again within the second is worth the copy that is kept.

use std::ptr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::HeaderMap;

use crate::cache::stored::StoredResponse;
use crate::semantics::cache_status::CacheStatusMember;
use crate::semantics::content_coding::ContentCoding;

/// The fields of one worker's hits: at most 1 MiB, which is so little that it has no account of its own.
#[derive(Debug)]
pub struct RecentFields {
    places: Mutex<Box<[Place]>>,
}

/// What the fields of a hit depend on beside the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// How the client gets it.
    pub form: Form,
    /// What `Cache-Status` says of it.
    pub member: CacheStatusMember,
}

/// How a client gets a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Its age in seconds.
    pub age: u64,
    /// The coding that it is in.
    pub coding: Option<ContentCoding>,
    /// Bytes of its whole body; none when the client has that already.
    pub length: Option<u64>,
}

/// A place, which many responses share.
#[derive(Debug, Default)]
struct Place {
    /// Where the response of the latest hit lay whose fields are not kept, and when that was.
    latest: Option<(usize, Moment)>,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// Where it lies in memory tells it from others, and nothing else can lie there while it is known here.
    response: Weak<StoredResponse>,
    moment: Moment,
    fields: HeaderMap,
}

impl RecentFields {
    /// None yet.
    pub fn new() -> Self {
        Self { places: Mutex::new((0..PLACES).map(|_| Place::default()).collect()) }
    }

    /// The fields of a hit on `response`, which `make` puts together unless that was done for another hit at the same
    /// `moment`.
    pub fn fields(
        &self,
        response: &Arc<StoredResponse>,
        moment: Moment,
        make: impl FnOnce() -> HeaderMap,
    ) -> HeaderMap {
        // A place is whole whenever somebody else may see it.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = &mut places[index(response, moment.form)];
        if let Some(kept) = place.kept.as_ref().filter(|kept| kept.are_of(response, moment)) {
            return kept.fields.clone();
        }
        let fields = make();
        let hit = Some((Arc::as_ptr(response).addr(), moment));
        // What is hit once in a second drives nothing out.
        if place.latest != hit {
            place.latest = hit;
        } else if size(&fields) <= FIELDS_BYTES_MAX {
            place.kept = Some(Kept { response: Arc::downgrade(response), moment, fields: fields.clone() });
        }
        fields
    }
}

impl Kept {
    fn are_of(&self, response: &Arc<StoredResponse>, moment: Moment) -> bool {
        self.moment == moment && ptr::eq(self.response.as_ptr(), Arc::as_ptr(response))
    }
}

impl Default for RecentFields {
    fn default() -> Self {
        Self::new()
    }
}

/// The place of a response in this form.
fn index(response: &Arc<StoredResponse>, form: Form) -> usize {
    let coding = form.coding.map_or(0, |coding| 1 + coding as usize);
    let form = coding << 1 | usize::from(form.length.is_none());
    let mixed = (Arc::as_ptr(response).addr() ^ form).wrapping_mul(MULTIPLIER);
    mixed >> (usize::BITS - PLACES.ilog2())
}

/// Bytes that a copy takes, roughly.
fn size(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| FIELD_BYTES + name.as_str().len() + value.len()).sum()
}

/// Enough for what is asked for many times in a second; a power of two.
const PLACES: usize = 256;

/// More is rare, and put together each time.
const FIELDS_BYTES_MAX: usize = 4096;

/// What a map takes for a field beside its text.
const FIELD_BYTES: usize = 112;

/// Fibonacci hashing: 2⁶⁴ divided by the golden ratio, whose product has the bits of an address spread over its highest ones.
const MULTIPLIER: usize = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, header};

    use super::*;
    use crate::cache::chunks::GrowingBody;
    use crate::cache::store::{Store, StoreCounters};
    use crate::cache::stored::{Arrival, StoredHead};
    use crate::clock::Clock;
    use crate::semantics::cache_status::CacheStatus;
    use crate::semantics::key::cache_key;
    use crate::semantics::target::Target;

    const FORM: Form = Form { age: 1, coding: None, length: Some(9) };

    const MOMENT: Moment = Moment { form: FORM, member: member(59) };

    const fn member(ttl: i64) -> CacheStatusMember {
        CacheStatusMember { ttl: Some(ttl), ..CacheStatusMember::new(CacheStatus::Hit) }
    }

    #[test]
    fn fields_are_kept_at_the_second_hit() {
        let (recent, response) = (RecentFields::new(), response());
        check(&recent, &response, MOMENT, &[("a", "a"), ("b", "b"), ("c", "b"), ("d", "b")]);
    }

    #[test]
    fn another_second_has_fields_of_its_own() {
        let (recent, response) = (RecentFields::new(), response());
        check(&recent, &response, MOMENT, &[("a", "a"), ("b", "b"), ("c", "b")]);
        let later = Moment { form: Form { age: 2, ..FORM }, ..MOMENT };
        check(&recent, &response, later, &[("d", "d"), ("e", "e"), ("f", "e")]);
        check(&recent, &response, Moment { member: member(58), ..later }, &[("g", "g"), ("h", "h"), ("i", "h")]);
        let stale = CacheStatusMember { stale: true, detail: Some("origin-down"), ..member(58) };
        check(&recent, &response, Moment { member: stale, ..later }, &[("j", "j"), ("k", "k"), ("l", "k")]);
    }

    #[test]
    fn forms_do_not_drive_each_other_out() {
        let (recent, response) = (RecentFields::new(), response());
        check(&recent, &response, MOMENT, &[("a", "a"), ("b", "b")]);
        let gzip = Moment { form: Form { coding: Some(ContentCoding::Gzip), ..FORM }, ..MOMENT };
        check(&recent, &response, gzip, &[("c", "c"), ("d", "d"), ("e", "d")]);
        let known = Moment { form: Form { length: None, ..FORM }, ..MOMENT };
        check(&recent, &response, known, &[("f", "f"), ("g", "g"), ("h", "g")]);
        check(&recent, &response, MOMENT, &[("i", "b")]);
        check(&recent, &response, gzip, &[("j", "d")]);
    }

    #[test]
    fn no_response_gets_the_fields_of_another() {
        let recent = RecentFields::new();
        // More than there are places for. Each is gone before the next one comes, which may lie where it has been.
        for number in 0..2 * PLACES {
            let [first, second, third] = [1, 2, 3].map(|hit| format!("{number}.{hit}"));
            check(&recent, &response(), MOMENT, &[(&first, &first), (&second, &second), (&third, &second)]);
        }
    }

    #[test]
    fn what_is_hit_once_drives_nothing_out() {
        let recent = RecentFields::new();
        let (popular, others) = (&response(), [(); 10 * PLACES].map(|()| response()));
        check(&recent, popular, MOMENT, &[("a", "a"), ("b", "b")]);
        others.iter().for_each(|other| check(&recent, other, MOMENT, &[("c", "c")]));
        check(&recent, popular, MOMENT, &[("d", "b")]);
    }

    #[test]
    fn long_fields_are_not_kept() {
        let (recent, response) = (RecentFields::new(), response());
        let [a, b, c] = ["a", "b", "c"].map(|text| text.repeat(FIELDS_BYTES_MAX));
        check(&recent, &response, MOMENT, &[(&a, &a), (&b, &b), (&c, &c)]);
    }

    #[test]
    fn many_short_fields_are_long() {
        let name = |number: usize| HeaderName::try_from(format!("x-{number}")).expect("it is one");
        let fields = |count| (0..count).map(|number| (name(number), HeaderValue::from(number))).collect::<HeaderMap>();
        assert!(size(&fields(32)) <= FIELDS_BYTES_MAX && size(&fields(36)) > FIELDS_BYTES_MAX);
    }

    /// Hits one after the other: what each would put together, and what it gets.
    #[track_caller]
    fn check(recent: &RecentFields, response: &Arc<StoredResponse>, moment: Moment, hits: &[(&str, &str)]) {
        for (made, expected) in hits {
            assert_eq!(recent.fields(response, moment, || fields(made)), fields(expected));
        }
    }

    fn fields(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ETAG, HeaderValue::from_str(text).expect("it is one"))])
    }

    fn response() -> Arc<StoredResponse> {
        let now = Clock::new().now().monotonic;
        let store = Store::new(1 << 20, StoreCounters::default(), now);
        let reserve = || store.reserve(1000).expect("there is room");
        let key = cache_key(&Target::new("https", "www.test", None, "/"));
        let head = StoredHead::of(Arrival::plain(&key, store.fence("www.test", "/").stamps_with(&[], &[]), now));
        let body = GrowingBody::new(Some(0)).seal(reserve()).expect("it is whole");
        Arc::new(StoredResponse::new(head, body, reserve()))
    }
}
