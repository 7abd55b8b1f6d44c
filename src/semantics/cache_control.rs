//! Cache directives (RFC 9111 §5.2, RFC 5861) and the field they come from (RFC 9213 §2.2).

use std::time::Duration;

use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, DATE, EXPIRES, HeaderMap, HeaderName, HeaderValue,
    PRAGMA, VARY,
};

use sfv::{BareItem, Dictionary, Item, ListEntry, Parser, Version};

use super::field::{self, Members};

/// What the origin asks of a shared cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// `max-age` (RFC 9111 §5.2.2.1); zero if it was invalid.
    pub max_age: Option<Duration>,
    /// `s-maxage` (§5.2.2.10); zero if it was invalid.
    pub s_maxage: Option<Duration>,
    /// `stale-while-revalidate` (RFC 5861 §3); zero if it was invalid.
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861 §4); zero if it was invalid.
    pub stale_if_error: Option<Duration>,
    /// `no-store` (§5.2.2.5).
    pub no_store: bool,
    /// `no-cache` (§5.2.2.4) without field names, or with some that cannot be left out.
    pub no_cache: bool,
    /// `private` (§5.2.2.7) without field names, or with some that cannot be left out.
    pub private: bool,
    /// The fields that a qualified `no-cache` or `private` keeps from being stored.
    pub withheld: Vec<HeaderName>,
    /// `public` (§5.2.2.9).
    pub public: bool,
    /// `must-revalidate` (§5.2.2.2).
    pub must_revalidate: bool,
    /// `proxy-revalidate` (§5.2.2.8).
    pub proxy_revalidate: bool,
    /// `must-understand` (§5.2.2.3).
    pub must_understand: bool,
    /// `no-transform` (§5.2.2.6): the content is passed on as the origin coded it.
    pub no_transform: bool,
    /// The directives are meant for caches such as this one: they come from a targeted field, and `Cache-Control` and
    /// `Expires` do not count.
    pub targeted: bool,
    /// There was at least one directive, known or not.
    pub present: bool,
}

impl ResponseDirectives {
    /// The directives of the first of `targets` that applies, else those of `Cache-Control`.
    pub fn from_headers(headers: &HeaderMap, targets: &[HeaderName]) -> Self {
        // "the cache MUST select the first (in target-list order) field with a valid, non-empty value and use its value
        // to determine the caching policy for the response, and it MUST ignore the Cache-Control and Expires header
        // fields in that response" (RFC 9213 §2.2)
        let targeted = targets.iter().find_map(|name| match name {
            name if *name == SURROGATE_CONTROL => Self::surrogate_control(headers),
            name => Self::targeted(headers, name),
        });
        targeted.unwrap_or_else(|| {
            let mut directives = Self::default();
            directives.apply_all(field::members(headers, CACHE_CONTROL).map(directive));
            directives
        })
    }

    /// Whether a directive "explicitly allows shared caching" of what only authorized clients get: "must-revalidate, public,
    /// and s-maxage" (§3.5).
    pub fn allow_sharing(&self) -> bool {
        self.must_revalidate || self.public || self.s_maxage.is_some()
    }

    /// An explicit expiration time: `s-maxage`, `max-age`, or `Expires` if the directives leave it in force (§4.2.1).
    pub(super) fn has_explicit_expiration(&self, headers: &HeaderMap) -> bool {
        self.s_maxage.is_some() || self.max_age.is_some() || (!self.targeted && headers.contains_key(EXPIRES))
    }

    fn targeted(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let lines: Vec<_> = headers.get_all(name).iter().map(|line| line.as_bytes()).collect();
        if lines.is_empty() {
            return None;
        }
        let text = lines.join(&b", "[..]);
        // "If a targeted field in a given response is empty, or a parsing error is encountered, that field MUST be
        // ignored by the cache (i.e., it behaves as if the field were not present […])." (RFC 9213 §2.1)
        let members: Dictionary = Parser::new(&text).with_version(Version::Rfc8941).parse().ok()?;
        if members.is_empty() {
            return None;
        }
        let mut directives = Self { targeted: true, ..Self::default() };
        directives.apply_all(members.iter().map(|(name, value)| (name.as_str().as_bytes(), Argument::from(value))));
        Some(directives)
    }

    /// The legacy field, nearly of Cache-Control's syntax. Many origins send it for its `content` alone, which says
    /// nothing about caching; it only replaces Cache-Control if it does.
    fn surrogate_control(headers: &HeaderMap) -> Option<Self> {
        let mut directives = Self { targeted: true, ..Self::default() };
        // A parameter names the surrogate that a directive is for.
        let for_any = field::members(headers, SURROGATE_CONTROL).filter(|member| !member.contains(&b';'));
        // `max-age=60+600` is fresh for 60 s, and may be served stale for 600 s more, which is for `site.stale` to say.
        let lifetimes = for_any.map(|member| member.split(|&byte| byte == b'+').next().unwrap_or(member));
        directives.apply_all(lifetimes.map(directive));
        (directives.max_age.is_some() || directives.no_store).then_some(directives)
    }

    fn apply_all<'a>(&mut self, directives: impl Iterator<Item = (&'a [u8], Argument)>) {
        for (name, argument) in directives {
            self.present = true;
            if let Some(directive) = Directive::named(name) {
                self.apply(directive, argument);
            }
        }
    }

    fn apply(&mut self, directive: Directive, argument: Argument) {
        // "no-store always has a Boolean true value" (RFC 9213 §2.1), so that a false one says nothing.
        let stated = argument != Argument::False;
        match directive {
            Directive::MaxAge => keep_first(&mut self.max_age, argument),
            Directive::SharedMaxAge => keep_first(&mut self.s_maxage, argument),
            Directive::StaleIfError => keep_first(&mut self.stale_if_error, argument),
            Directive::StaleWhileRevalidate => keep_first(&mut self.stale_while_revalidate, argument),
            Directive::MustRevalidate => self.must_revalidate |= stated,
            Directive::MustUnderstand => self.must_understand |= stated,
            Directive::NoCache => self.no_cache |= stated && !self.withholds(argument),
            Directive::Private => self.private |= stated && !self.withholds(argument),
            Directive::NoStore => self.no_store |= stated,
            Directive::NoTransform => self.no_transform |= stated,
            Directive::ProxyRevalidate => self.proxy_revalidate |= stated,
            Directive::Public => self.public |= stated,
            // "the presence of a directive in a request does not imply that the same directive is present […] in the
            // response"
            Directive::MaxStale | Directive::MinFresh | Directive::OnlyIfCached => {}
        }
    }
}

impl ResponseDirectives {
    /// Whether the argument qualifies its directive; its fields are then noted. "the qualified form of the directive is
    /// often handled by caches as if an unqualified […] directive was received", and so it is here where it names what a
    /// response cannot do without, or something that is no field name.
    fn withholds(&mut self, argument: Argument) -> bool {
        let Argument::Fields(names) = argument else { return false };
        let qualifies = !names.iter().any(|name| INDISPENSABLE.contains(name));
        if qualifies {
            self.withheld.extend(names);
        }
        qualifies
    }
}

/// Which request directives count (§5.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honored {
    /// All of them.
    All,
    /// None of them.
    None,
    /// Those that cost the origin nothing: `max-stale` and `only-if-cached`.
    Safe,
}

/// What a client asks of a cache (§5.2.1): advice, "caches MAY implement them, but are not required to". Invalid
/// arguments are therefore ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// `no-cache` (§5.2.1.4), or `Pragma: no-cache` where there is no Cache-Control (§5.4).
    pub no_cache: bool,
    /// `no-store` (§5.2.1.5).
    pub no_store: bool,
    /// `only-if-cached` (§5.2.1.7).
    pub only_if_cached: bool,
    /// `max-age` (§5.2.1.1).
    pub max_age: Option<Duration>,
    /// `min-fresh` (§5.2.1.3).
    pub min_fresh: Option<Duration>,
    /// `max-stale` (§5.2.1.2).
    pub max_stale: Option<MaxStale>,
}

/// How stale a response a client accepts (§5.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxStale {
    /// "If no value is assigned to max-stale, then the client will accept a stale response of any age."
    Any,
    /// This long past its freshness lifetime.
    For(Duration),
}

impl RequestDirectives {
    /// The directives of a request, as far as they count.
    pub fn from_headers(headers: &HeaderMap, honored: Honored) -> Self {
        match honored {
            Honored::All => Self::all(headers),
            Honored::None => Self::default(),
            Honored::Safe => {
                let Self { max_stale, only_if_cached, .. } = Self::all(headers);
                Self { max_stale, only_if_cached, ..Self::default() }
            }
        }
    }

    /// Whether a fresh response of this age, fresh for `ttl` more, will do.
    pub fn accept_fresh(&self, age: Duration, ttl: Duration) -> bool {
        // no-cache: "the client prefers stored response not be used to satisfy the request without successful validation";
        // min-fresh: "a response whose freshness lifetime is no less than its current age plus the specified time".
        !self.no_cache && self.is_young_enough(age) && self.min_fresh.is_none_or(|least| ttl >= least)
    }

    /// Whether a response of this age that became stale `past` ago will do.
    pub fn accept_stale(&self, age: Duration, past: Duration) -> bool {
        let permitted = match self.max_stale {
            None => false,
            Some(MaxStale::Any) => true,
            Some(MaxStale::For(time)) => past <= time,
        };
        permitted && !self.no_cache && self.min_fresh.is_none() && self.is_young_enough(age)
    }

    /// Whether nothing stale will do without having asked an origin.
    pub fn insist_on_fresh(&self) -> bool {
        // max-age: "Unless the max-stale request directive is also present, the client does not wish to receive a stale
        // response."
        self.no_cache || ((self.max_age.is_some() || self.min_fresh.is_some()) && self.max_stale.is_none())
    }

    /// "the client prefers a response whose age is less than or equal to the specified number of seconds" (§5.2.1.1)
    fn is_young_enough(&self, age: Duration) -> bool {
        self.max_age.is_none_or(|most| age <= most)
    }

    /// The same directives, for caches behind this one; `None` if there are none. `only-if-cached` is not among them: it
    /// is for the first cache, and of a request that is forwarded after all it would make an error.
    pub fn forwarded(&self) -> Option<HeaderValue> {
        let seconds = |name, time: Option<Duration>| time.map(|time| format!("{name}={}", time.as_secs()));
        let max_stale = self.max_stale.map(|limit| match limit {
            MaxStale::Any => "max-stale".to_owned(),
            MaxStale::For(time) => format!("max-stale={}", time.as_secs()),
        });
        let all = [
            self.no_cache.then(|| "no-cache".to_owned()),
            self.no_store.then(|| "no-store".to_owned()),
            seconds("max-age", self.max_age),
            seconds("min-fresh", self.min_fresh),
            max_stale,
        ];
        let text = all.into_iter().flatten().collect::<Vec<_>>().join(", ");
        (!text.is_empty()).then(|| HeaderValue::try_from(text).expect("words and digits are a valid field value"))
    }

    fn all(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        if headers.contains_key(CACHE_CONTROL) {
            for (name, argument) in field::members(headers, CACHE_CONTROL).map(directive) {
                if let Some(directive) = Directive::named(name) {
                    directives.apply(directive, argument);
                }
            }
        } else {
            // "The "Pragma" request header field was defined for HTTP/1.0 caches, so that clients could specify a
            // "no-cache" request (as Cache-Control was not defined until HTTP/1.1)." (§5.4)
            directives.no_cache =
                field::members(headers, PRAGMA).any(|member| member.eq_ignore_ascii_case(b"no-cache"));
        }
        directives
    }

    fn apply(&mut self, directive: Directive, argument: Argument) {
        match (directive, argument) {
            (Directive::MaxAge, Argument::Seconds(age)) => self.max_age = self.max_age.or(Some(age)),
            (Directive::MinFresh, Argument::Seconds(time)) => self.min_fresh = self.min_fresh.or(Some(time)),
            (Directive::MaxStale, Argument::Absent) => self.max_stale = self.max_stale.or(Some(MaxStale::Any)),
            (Directive::MaxStale, Argument::Seconds(time)) => {
                self.max_stale = self.max_stale.or(Some(MaxStale::For(time)));
            }
            (Directive::NoCache, _) => self.no_cache = true,
            (Directive::NoStore, _) => self.no_store = true,
            (Directive::OnlyIfCached, _) => self.only_if_cached = true,
            _ => {}
        }
    }
}

#[derive(Clone, Copy)]
enum Directive {
    MaxAge,
    MaxStale,
    MinFresh,
    MustRevalidate,
    MustUnderstand,
    NoCache,
    NoStore,
    NoTransform,
    OnlyIfCached,
    Private,
    ProxyRevalidate,
    Public,
    SharedMaxAge,
    StaleIfError,
    StaleWhileRevalidate,
}

impl Directive {
    /// "Cache directives are identified by a token, to be compared case-insensitively" (§5.2), and "a cache MUST ignore
    /// unrecognized cache directives" (§5.2.3).
    fn named(name: &[u8]) -> Option<Self> {
        let (_, directive) = DIRECTIVES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))?;
        Some(*directive)
    }
}

/// What follows the name of a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Argument {
    Absent,
    False,
    /// Field names, one at least.
    Fields(Vec<HeaderName>),
    Other,
    Seconds(Duration),
}

impl From<&ListEntry> for Argument {
    fn from(value: &ListEntry) -> Self {
        match value {
            ListEntry::Item(Item { bare_item: BareItem::Boolean(true), .. }) => Self::Absent,
            ListEntry::Item(Item { bare_item: BareItem::Boolean(false), .. }) => Self::False,
            ListEntry::Item(Item { bare_item: BareItem::Integer(seconds), .. }) => {
                field::delta_seconds(seconds.to_string().as_bytes()).map_or(Self::Other, Self::Seconds)
            }
            ListEntry::Item(item) => Self::fields(text(item)),
            ListEntry::InnerList(list) => {
                let names: Vec<_> = list.items.iter().map(text).collect();
                Self::fields(&names.join(&b','))
            }
        }
    }
}

impl Argument {
    /// `#field-name`: "Field names are case-insensitive", and not limited to known ones.
    fn fields(list: &[u8]) -> Self {
        let names: Option<Vec<_>> = Members::new(list).map(|name| HeaderName::from_bytes(name).ok()).collect();
        names.filter(|names| !names.is_empty()).map_or(Self::Other, Self::Fields)
    }
}

/// The text of a String or Token; what is no field name for everything else.
fn text(item: &Item) -> &[u8] {
    match &item.bare_item {
        BareItem::String(text) => text.as_str().as_bytes(),
        BareItem::Token(token) => token.as_str().as_bytes(),
        _ => b"?",
    }
}

/// Name and argument of one member: `token [ "=" ( token / quoted-string ) ]`.
fn directive(member: &[u8]) -> (&[u8], Argument) {
    let Some(at) = member.iter().position(|&byte| byte == b'=') else {
        return (member, Argument::Absent);
    };
    let (name, argument) = (&member[..at], &member[at + 1..]);
    // No whitespace is allowed around "=". The directive counts, since it was meant; its argument does not.
    let trimmed = field::trim(name);
    if trimmed.len() < name.len() {
        return (trimmed, Argument::Other);
    }
    // "For the directives defined below that define arguments, recipients ought to accept both forms".
    let argument = match argument {
        [b'"', quoted @ .., b'"'] => quoted,
        token => token,
    };
    (name, field::delta_seconds(argument).map_or_else(|| Argument::fields(argument), Argument::Seconds))
}

/// "When there is more than one value present for a given directive […], either the first occurrence should be used or
/// the response should be considered stale. […] Caches are encouraged to consider responses that have invalid freshness
/// information (e.g., a max-age directive with non-integer content) to be stale." (§4.2.1): the first counts, and as
/// zero if it is invalid.
fn keep_first(lifetime: &mut Option<Duration>, argument: Argument) {
    let value = match argument {
        Argument::Seconds(value) => value,
        Argument::Absent | Argument::False | Argument::Fields(_) | Argument::Other => Duration::ZERO,
    };
    lifetime.get_or_insert(value);
}

/// Whether a field may be in a target list: its name ends as those of targeted fields do, or it is the one that is older.
pub fn is_targeted(name: &HeaderName) -> bool {
    *name == SURROGATE_CONTROL || name.as_str().ends_with("-cache-control")
}

/// "the target list" (RFC 9213 §2.2) of a CDN's cache, and the field that came before it.
pub const TARGETS: [HeaderName; 2] = [HeaderName::from_static("cdn-cache-control"), SURROGATE_CONTROL];

/// Of Edge Architecture 1.0; in a target list it keeps its own syntax.
pub const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

/// Fields without which the rest of a response is another response, or one that cannot be used.
const INDISPENSABLE: [HeaderName; 6] = [CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, DATE, VARY];

const DIRECTIVES: [(&str, Directive); 15] = [
    ("max-age", Directive::MaxAge),
    ("max-stale", Directive::MaxStale),
    ("min-fresh", Directive::MinFresh),
    ("must-revalidate", Directive::MustRevalidate),
    ("must-understand", Directive::MustUnderstand),
    ("no-cache", Directive::NoCache),
    ("no-store", Directive::NoStore),
    ("no-transform", Directive::NoTransform),
    ("only-if-cached", Directive::OnlyIfCached),
    ("private", Directive::Private),
    ("proxy-revalidate", Directive::ProxyRevalidate),
    ("public", Directive::Public),
    ("s-maxage", Directive::SharedMaxAge),
    ("stale-if-error", Directive::StaleIfError),
    ("stale-while-revalidate", Directive::StaleWhileRevalidate),
];

#[cfg(test)]
mod tests;
