//! A site as its clients see it: what is stored, for how long, and what is made of it.

use std::time::Duration;

use super::row::{
    FILE, HOST_PATTERN, MEDIA_TYPE, NAME, NETWORK, TOKEN, days, duration, hours, key, milliseconds, minutes,
};
use crate::config::fields::{CookieName, KeyField, RequestField, TargetedField};
use crate::config::form::{Form, reads};
use crate::config::model::{Authorization, FirstRemedy, PlainHttp};
use crate::config::names::{Name, Token};
use crate::config::section::{Absence, Repeat, Section};
use crate::config::words::words;
use crate::semantics::cache_control::Honored;
use crate::semantics::content_coding::ContentCoding;
use crate::semantics::freshness::Prohibition;
use crate::semantics::query::ParameterPattern;
use crate::semantics::storable::SetCookie;

pub(super) const SECTIONS: &[Section] = &[
    Section {
        path: "site",
        repeat: Repeat::Several { least: 1, most: 4096 },
        sentence: "A site: host names, policies, origins.",
        keys: &[
            key(
                "name",
                Form::Text { accepts: reads::<Name>, expected: NAME },
                Absence::Optional("\"shop\""),
                "Name in metrics, logs and events, unique in the file; by default the first of `hosts`.",
            ),
            key(
                "hosts",
                Form::List { item: &HOST_PATTERN, least: 1, most: 1024 },
                Absence::Required("[\"www.example.org\", \"*.example.org\"]"),
                "Host names of the site, each in one site only. `*.` stands for one or more labels; an exact name \
                 wins over it.",
            ),
            key(
                "plain_http",
                Form::Word { words: words::<PlainHttp> },
                Absence::Default("\"redirect\""),
                "What plain HTTP requests get: a redirect to HTTPS, or the site itself.",
            ),
            key(
                "error_page",
                FILE,
                Absence::Optional("\"/etc/holdover/sorry.html\""),
                "File whose content visitors get in place of the node's own plain text when no origin gives an answer (502, \
                 503, 504): `.html`, `.htm`, `.txt` or `.json`, in UTF-8, up to 256 KiB. Read at start.",
            ),
        ],
    },
    Section {
        path: "site.key",
        repeat: Repeat::Once,
        sentence: "What requests are told apart by, besides scheme, host and path: by default the query as written. What \
                   is dropped does not reach an origin either, on requests whose answer may be stored.",
        keys: &[
            key(
                "query_keep",
                Form::List { item: &PARAMETER, least: 0, most: 64 },
                Absence::Optional("[\"page\", \"filter_*\"]"),
                "Query parameters to keep; all others are dropped. `[]` drops the whole query; by default all are kept.",
            ),
            key(
                "query_drop",
                Form::List { item: &PARAMETER, least: 0, most: 64 },
                Absence::Default("[]"),
                "Query parameters to drop, of those kept: such as `[\"utm_*\", \"fbclid\", \"gclid\"]`.",
            ),
            key(
                "query_sort",
                Form::Boolean,
                Absence::Default("false"),
                "Whether query parameters are sorted by name, those of one name in their order; for origins to which no \
                 other order means anything.",
            ),
            key(
                "fields",
                Form::List { item: &KEY_FIELD, least: 0, most: 16 },
                Absence::Default("[]"),
                "Request fields to add; origins get them with `request.fields`. A response that says `Vary` needs no \
                 such help. Requests with more than 1 KiB of fields and cookies in the key bypass the cache.",
            ),
            key(
                "cookies",
                Form::List { item: &COOKIE_NAME, least: 0, most: 16 },
                Absence::Default("[]"),
                "Cookies to add. Origins get these and no others, so that requests with cookies can be answered from the \
                 cache.",
            ),
        ],
    },
    Section {
        path: "site.store",
        repeat: Repeat::Once,
        sentence: "What may be stored, beyond the rules of RFC 9111 §3.",
        keys: &[
            key(
                "set_cookie",
                Form::Word { words: words::<SetCookie> },
                Absence::Default("\"explicit\""),
                "Responses with `Set-Cookie`: stored when the origin explicitly lets shared caches (`public`, \
                 `s-maxage` or a targeted field), by the letter of the RFC, or never.",
            ),
            key(
                "targets",
                Form::List { item: &TARGETED_FIELD, least: 0, most: 8 },
                Absence::Default("[\"cdn-cache-control\", \"surrogate-control\"]"),
                "Response fields that take the place of `Cache-Control` and `Expires`, the first one first (RFC 9213 \
                 §2.2). `surrogate-control` counts when it has a `max-age` or `no-store`.",
            ),
            key(
                "negative",
                Form::Lifetimes { most: hours(1) },
                Absence::Default("{ 404 = \"10s\", 410 = \"10s\" }"),
                "How long errors are fresh when their origin says nothing of that, by status; `{}` is not at all. An \
                 error never takes the place of a response that may still be used.",
            ),
        ],
    },
    Section {
        path: "site.stale",
        repeat: Repeat::Once,
        sentence: "How long past its freshness a response may still be used, and when.",
        keys: &[
            key(
                "max",
                duration(Duration::ZERO, days(30)),
                Absence::Default("\"24h\""),
                "Longest time after expiry that a response is kept for an outage; never exceeded, whatever the \
                 origin says.",
            ),
            key(
                "while_revalidate",
                duration(Duration::ZERO, days(1)),
                Absence::Default("\"60s\""),
                "Time after expiry in which stale is served at once and refreshed behind it, when the origin states \
                 no `stale-while-revalidate` (RFC 5861).",
            ),
            key(
                "wait",
                duration(Duration::ZERO, minutes(1)),
                Absence::Default("\"300ms\""),
                "Longest wait for an origin while a usable stale response is at hand; the fill goes on behind it.",
            ),
            key(
                "revive",
                duration(milliseconds(100), minutes(10)),
                Absence::Default("\"10s\""),
                "After a failed revalidation a response is good again for this long, ±20 %, so that a dead origin is \
                 not tried for every request; `Retry-After` may prolong it to a minute.",
            ),
            key(
                "first",
                Form::Word { words: words::<FirstRemedy> },
                Absence::Default("\"origin\""),
                "Which remedy comes first when an origin fails: the next origin or the stale response.",
            ),
            key(
                "despite",
                Form::List { item: &PROHIBITION, least: 0, most: 4 },
                Absence::Default("[]"),
                "Directives of the origin that do not forbid stale here. Many origins send `s-maxage` without \
                 meaning that.",
            ),
        ],
    },
    Section {
        path: "site.heuristic",
        repeat: Repeat::Once,
        sentence: "Freshness of responses that state none (RFC 9111 §4.2.2).",
        keys: &[
            key(
                "percent",
                Form::Percent { most: 100 },
                Absence::Default("10"),
                "Share of the time since `Last-Modified` that a response stays fresh; 0 turns it off.",
            ),
            key("max", duration(Duration::ZERO, days(30)), Absence::Default("\"24h\""), "Upper bound of that."),
        ],
    },
    Section {
        path: "site.request",
        repeat: Repeat::Once,
        sentence: "What requests whose answer may be stored ask of the cache, and what of them reaches an origin; all \
                   other requests carry everything.",
        keys: &[
            key(
                "fields",
                Form::List { item: &REQUEST_FIELD, least: 0, most: 128 },
                Absence::Default("[]"),
                "Request fields to pass on besides the built-in ones; `[\"*\"]` is every end-to-end field. A field that \
                 changes the answer but is not in its `Vary` lets one client poison the cache for all.",
            ),
            key(
                "directives",
                Form::Word { words: words::<Honored> },
                Absence::Default("\"safe\""),
                "Which `Cache-Control` directives of requests count (RFC 9111 §5.2.1): `\"safe\"` is `max-stale` and \
                 `only-if-cached`; any client can send the others (`no-cache`, `no-store`, `max-age`, `min-fresh`), and \
                 each costs the origin a request. `\"all\"` follows and passes on every one, `\"none\"` none.",
            ),
            key(
                "authorization",
                Form::Word { words: words::<Authorization> },
                Absence::Default("\"bypass\""),
                "Requests with `Authorization`: they bypass the cache, or (`\"cache\"`, RFC 9111 §3.5) stored responses \
                 may answer them, and responses to them are stored if the origin permits it by `public`, `s-maxage` or \
                 `must-revalidate`. The origin then gets `Authorization`, and otherwise what `fields` says.",
            ),
        ],
    },
    Section {
        path: "site.purge",
        repeat: Repeat::Once,
        sentence: "Who may take responses out of the cache with the `PURGE` method; without either key it is passed on \
                   to an origin like any other method. The admin listener purges more, and all sites.",
        keys: &[
            key(
                "from",
                Form::List { item: &NETWORK, least: 0, most: 256 },
                Absence::Default("[]"),
                "Client networks that may, by the address that the connection comes from: behind a load balancer that is \
                 the balancer's, for everybody.",
            ),
            key(
                "token",
                Form::Secret { accepts: reads::<Token>, expected: TOKEN },
                Absence::Optional("\"file:/run/secrets/holdover-purge\""),
                "Bearer token that lets any client; send it over HTTPS only.",
            ),
        ],
    },
    Section {
        path: "site.response",
        repeat: Repeat::Once,
        sentence: "What responses look like to clients.",
        keys: &[
            key(
                "forward_targeted",
                Form::Boolean,
                Absence::Default("false"),
                "Whether fields for caches such as this one reach clients too: those of `store.targets`, \
                 `Surrogate-Control`, `Surrogate-Key`, `Cache-Tag`, `xkey` and `No-Fallback`. True where the client is another cache of \
                 yours.",
            ),
            key(
                "x_cache",
                Form::Boolean,
                Absence::Default("false"),
                "Whether responses say in `X-Cache` what became of the request, in one word beside `Cache-Status`: `HIT`, \
                 `MISS`, `STALE` or `BYPASS` (`fwd=bypass` or `fwd=method`). An origin's `X-Cache` goes.",
            ),
        ],
    },
    Section {
        path: "site.compression",
        repeat: Repeat::Once,
        sentence: "Content codings that the node gives to stored responses, once for each of them and beside all \
                   requests. What an origin has coded, or marked `no-transform`, stays as it is, and so does what may be \
                   personal: selected by a cookie, asked for with `Authorization`, or with a `Set-Cookie`.",
        keys: &[
            key(
                "codings",
                Form::List { item: &CODING, least: 0, most: 3 },
                Absence::Default("[\"br\", \"zstd\", \"gzip\"]"),
                "Codings, the preferred one first; `[]` turns compression off.",
            ),
            key(
                "types",
                Form::List { item: &MEDIA_TYPE, least: 0, most: 128 },
                Absence::Default(COMPRESSED_TYPES),
                "Media types that are compressed.",
            ),
            key(
                "min",
                Form::Size { least: 1, most: COMPRESSED_BYTES_MAX },
                Absence::Default("\"1KiB\""),
                "Shortest body that is compressed: a shorter one fits into a packet or two either way. At most `max`.",
            ),
            key(
                "max",
                Form::Size { least: 1, most: COMPRESSED_BYTES_MAX },
                Absence::Default("\"4MiB\""),
                "Longest body that is compressed; 4 MiB take a tenth of a second of one CPU.",
            ),
        ],
    },
];

const COOKIE_NAME: Form = Form::Text {
    accepts: reads::<CookieName>,
    expected: "the name of a cookie: up to 256 letters, digits and other token characters",
};

const CODING: Form = Form::Word { words: words::<ContentCoding> };

/// Longer bodies would keep the one thread that compresses for seconds.
const COMPRESSED_BYTES_MAX: u64 = 64 << 20;

/// What is text, or as good as text. Images, sound, video, archives and WOFF are compressed by themselves.
const COMPRESSED_TYPES: &str = "[\"text/*\", \"application/javascript\", \"application/json\", \
    \"application/ld+json\", \"application/manifest+json\", \"application/wasm\", \"application/xml\", \
    \"application/atom+xml\", \"application/rss+xml\", \"application/xhtml+xml\", \
    \"application/vnd.ms-fontobject\", \"font/otf\", \"font/ttf\", \"image/svg+xml\", \"image/x-icon\"]";

const KEY_FIELD: Form = Form::Text {
    accepts: reads::<KeyField>,
    expected: "a request field that reaches origins as the client sent it, such as \"x-country\"; cookies have a list of \
               their own",
};

const PARAMETER: Form = Form::Text {
    accepts: reads::<ParameterPattern>,
    expected: "a query parameter's name of up to 256 bytes, such as \"page\", or the beginning of names, such as \"utm_*\"",
};

const PROHIBITION: Form = Form::Word { words: words::<Prohibition> };

const REQUEST_FIELD: Form = Form::Text {
    accepts: reads::<RequestField>,
    expected: "a request field that the cache does not manage itself, such as \"accept-language\", or \"*\" alone \
               for all",
};

const TARGETED_FIELD: Form = Form::Text {
    accepts: reads::<TargetedField>,
    expected: "the name of a field that ends in \"-cache-control\", or \"surrogate-control\"",
};
