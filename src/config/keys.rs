//! One row per key: form, bounds, default, sentence. Checks, defaults, `full.toml` and `docs/config.md` come from here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::fields::{CookieName, KeyField, MediaType, RequestField, TargetedField};
use super::form::{Form, reads};
use super::model::{Accepts, Authorization, FirstRemedy, HostField, LogTarget, PlainHttp};
use super::names::{HostPattern, Name, NameServer, Network, OriginUrl, ProbePath, ProbeText, Region, Token};
use super::section::{Absence, Key, Repeat, Section};
use super::words::words;
use crate::semantics::cache_control::Honored;
use crate::semantics::content_coding::ContentCoding;
use crate::semantics::freshness::Prohibition;
use crate::semantics::query::ParameterPattern;
use crate::semantics::storable::SetCookie;

/// The file itself.
pub(super) fn root() -> &'static Section {
    &SECTIONS[0]
}

/// The sections directly inside `parent`.
pub(super) fn children(parent: &'static Section) -> impl Iterator<Item = &'static Section> {
    SECTIONS.iter().filter(|section| !section.path.is_empty() && section.parent_path() == parent.path)
}

/// All tables, parents before their children, in the order of the reference.
pub(super) const SECTIONS: &[Section] = &[
    Section { path: "", repeat: Repeat::Once, sentence: "The file.", keys: &[] },
    Section {
        path: "node",
        repeat: Repeat::Once,
        sentence: "The node itself. Its region comes from the environment variable `HOLDOVER_REGION`, so that one \
                   file serves all regions.",
        keys: &[
            key(
                "name",
                Form::Text { accepts: reads::<Name>, expected: NAME },
                Absence::Default("\"holdover\""),
                "Name in `Via`, `CDN-Loop` and `Cache-Status`. A request that already carries it is a loop, so nodes \
                 that are origins of other nodes need another name.",
            ),
            key(
                "workers",
                Form::Workers { most: 1024 },
                Absence::Default("\"auto\""),
                "Data-plane threads; `\"auto\"` is one for each CPU the process may use.",
            ),
            key(
                "regions",
                Form::List { item: &REGION, least: 0, most: 64 },
                Absence::Default("[]"),
                "Regions that exist. When given, any other region in `HOLDOVER_REGION` or in `ranks` is a fault, \
                 which catches misspelled ones.",
            ),
            key(
                "drain_delay",
                duration(Duration::ZERO, minutes(10)),
                Absence::Default("\"0s\""),
                "On SIGTERM, time between `/readyz` failing and the listeners closing; set it to what a load \
                 balancer needs to notice.",
            ),
            key(
                "drain_timeout",
                duration(Duration::ZERO, hours(1)),
                Absence::Default("\"25s\""),
                "Longest wait for requests in flight after that; the default ends within the 30 s that Kubernetes \
                 grants.",
            ),
        ],
    },
    Section {
        path: "listen",
        repeat: Repeat::Once,
        sentence: "Where clients connect, and how long they may keep the node waiting. At least one address is \
                   needed; IPv4 and IPv6 are listed one by one, `[::]` is IPv6 alone.",
        keys: &[
            key(
                "https",
                Form::List { item: &ADDRESS, least: 0, most: 64 },
                Absence::Choice("[\"0.0.0.0:8443\", \"[::]:8443\"]"),
                "Addresses for HTTPS: HTTP/2 and HTTP/1.1, chosen by ALPN. Needs a `[[certificate]]`.",
            ),
            key(
                "http",
                Form::List { item: &ADDRESS, least: 0, most: 64 },
                Absence::Choice("[\"0.0.0.0:8080\", \"[::]:8080\"]"),
                "Addresses for plain HTTP; each site says by `plain_http` what it gets.",
            ),
            key(
                "connections_max",
                Form::Whole { least: 1, most: 10_000_000 },
                Absence::Default("10000"),
                "Most client connections open at once, over all workers. An idle one takes some 25 KiB of memory.",
            ),
            key(
                "handshake_timeout",
                duration(milliseconds(100), minutes(1)),
                Absence::Default("\"5s\""),
                "From accepting a connection to the end of its TLS handshake.",
            ),
            key(
                "head_timeout",
                duration(milliseconds(100), minutes(5)),
                Absence::Default("\"10s\""),
                "From the first byte of a request to the end of its head.",
            ),
            key(
                "idle_timeout",
                duration(milliseconds(100), hours(1)),
                Absence::Default("\"15s\""),
                "Between two requests on an HTTP/1.1 connection.",
            ),
            key(
                "h2_idle_timeout",
                duration(milliseconds(100), hours(1)),
                Absence::Default("\"60s\""),
                "The same on an HTTP/2 connection, which browsers keep for all requests to a site.",
            ),
            key(
                "write_timeout",
                duration(milliseconds(100), minutes(10)),
                Absence::Default("\"30s\""),
                "Longest time a client may take nothing of a response that is ready for it; shorter times cut off steady \
                 but slow readers, whose kernels keep their windows closed for seconds.",
            ),
            key(
                "age_max",
                duration(seconds(1), days(7)),
                Absence::Default("\"1h\""),
                "Age at which a connection is closed after its current request, so that clients spread over new \
                 nodes.",
            ),
        ],
    },
    Section {
        path: "admin",
        repeat: Repeat::Once,
        sentence: "Metrics, health, status, purge and explain of the node, over plain HTTP.",
        keys: &[
            key(
                "listen",
                Form::List { item: &ADDRESS, least: 0, most: 16 },
                Absence::Default("[\"127.0.0.1:9090\"]"),
                "Addresses of `/metrics`, `/livez`, `/readyz`, `/status` and `/v1`. Keep them away from the public, or \
                 set a token.",
            ),
            key(
                "token",
                Form::Secret { accepts: reads::<Token>, expected: TOKEN },
                Absence::Optional("\"file:/run/secrets/holdover-admin\""),
                "Bearer token for admin requests; none is asked for by default. Without one, purges are taken only from \
                 whoever asks by IP address or as `localhost`, so that no page in a browser can send them.",
            ),
        ],
    },
    Section {
        path: "debug",
        repeat: Repeat::Once,
        sentence: "Who is told more of a response: the key and the origin it was found by, and the fields that sites keep \
                   from clients.",
        keys: &[key(
            "token",
            Form::Secret { accepts: reads::<Token>, expected: TOKEN },
            Absence::Optional("\"file:/run/secrets/holdover-debug\""),
            "Token that requests present in `Holdover-Debug`, which goes no further than this node; send it over HTTPS \
             only. By default nobody is told.",
        )],
    },
    Section {
        path: "cache",
        repeat: Repeat::Once,
        sentence: "Bounds of the memory cache.",
        keys: &[
            key(
                "memory",
                Form::Size { least: 1 << 20, most: 1 << 44 },
                Absence::Default("\"256MiB\""),
                "All stored responses and fills in flight, index included. Give the process 15 % and 64 MiB more.",
            ),
            key(
                "object_max",
                Form::Size { least: 1 << 10, most: 1 << 44 },
                Absence::Optional("\"4MiB\""),
                "Largest body stored; larger ones stream through. By default 1/64 of `memory`, so that one response \
                 cannot push out much else.",
            ),
        ],
    },
    Section {
        path: "dns",
        repeat: Repeat::Once,
        sentence: "How names of origins are resolved. Good answers are kept when later ones fail.",
        keys: &[
            key(
                "servers",
                Form::List { item: &NAME_SERVER, least: 0, most: 16 },
                Absence::Default("[]"),
                "Name servers; none means those of the system.",
            ),
            key(
                "timeout",
                duration(milliseconds(100), seconds(30)),
                Absence::Default("\"2s\""),
                "Longest wait for one lookup.",
            ),
            key(
                "ttl_min",
                duration(milliseconds(100), hours(1)),
                Absence::Default("\"1s\""),
                "Answers are asked for again no sooner than this, whatever their TTL.",
            ),
            key(
                "ttl_max",
                duration(seconds(1), days(1)),
                Absence::Default("\"60s\""),
                "Answers are asked for again no later than this, whatever their TTL.",
            ),
        ],
    },
    Section {
        path: "log",
        repeat: Repeat::Once,
        sentence: "Where logs go; both are JSON, one object a line.",
        keys: &[
            key("access", LOG_TARGET, Absence::Default("\"stdout\""), "One line per request."),
            key("events", LOG_TARGET, Absence::Default("\"stderr\""), "One line per change of state, with its reason."),
        ],
    },
    Section {
        path: "certificate",
        repeat: Repeat::Several { least: 0, most: 4096 },
        sentence: "A certificate, offered to clients that ask for one of its names; the first one also to clients \
                   that name none. Either `chain` and `key`, or `self_signed`.",
        keys: &[
            key(
                "chain",
                FILE,
                Absence::Optional("\"/etc/holdover/tls/example.org.pem\""),
                "PEM file of the certificate chain, leaf first.",
            ),
            key(
                "key",
                FILE,
                Absence::Optional("\"/etc/holdover/tls/example.org.key\""),
                "PEM file of its private key: PKCS#8, PKCS#1 or SEC1.",
            ),
            key(
                "self_signed",
                Form::List { item: &HOST_PATTERN, least: 1, most: 64 },
                Absence::Choice("[\"localhost\"]"),
                "Names of a certificate made at start, for trying things out; no client trusts it.",
            ),
        ],
    },
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
                 not tried for every request.",
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
                 `Surrogate-Control`, `Surrogate-Key`, `Cache-Tag` and `xkey`. True where the client is another cache of \
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
    Section {
        path: "site.timeouts",
        repeat: Repeat::Once,
        sentence: "Deadlines of requests to origins.",
        keys: &[
            key(
                "connect",
                duration(milliseconds(10), seconds(30)),
                Absence::Default("\"1s\""),
                "One connect, TLS handshake included; at most `request`.",
            ),
            key(
                "first_byte",
                duration(milliseconds(10), minutes(5)),
                Absence::Default("\"3s\""),
                "From the request sent to the head of the response; at most `request`.",
            ),
            key(
                "body_idle",
                duration(milliseconds(100), minutes(10)),
                Absence::Default("\"5s\""),
                "Between two pieces of a body.",
            ),
            key(
                "request",
                duration(milliseconds(10), minutes(10)),
                Absence::Default("\"10s\""),
                "All attempts of one request together, until the head of a response.",
            ),
        ],
    },
    Section {
        path: "site.failover",
        repeat: Repeat::Once,
        sentence: "When a request goes on to the next origin.",
        keys: &[
            key(
                "tries",
                Form::Whole { least: 1, most: 16 },
                Absence::Default("3"),
                "Most addresses tried for one request.",
            ),
            key(
                "statuses",
                Form::List { item: &FAILURE_STATUSES, least: 0, most: 32 },
                Absence::Default("[500, 502, 503, 504]"),
                "Statuses of an origin that count as its failure.",
            ),
            key(
                "consecutive_failures",
                Form::Whole { least: 1, most: 1000 },
                Absence::Default("3"),
                "Failed requests in a row that take an address out of use.",
            ),
        ],
    },
    Section {
        path: "site.failback",
        repeat: Repeat::Once,
        sentence: "When a better origin is used again after it failed.",
        keys: &[
            key(
                "probes",
                Form::Whole { least: 1, most: 100 },
                Absence::Default("5"),
                "Good probes in a row before it counts as back.",
            ),
            key(
                "hold_down",
                duration(Duration::ZERO, days(1)),
                Absence::Default("\"30s\""),
                "Least time between its failure and its return, so that a flapping origin does not take the site \
                 along.",
            ),
        ],
    },
    Section {
        path: "site.probe",
        repeat: Repeat::Once,
        sentence: "Health checks, sent to every address of every origin of the site.",
        keys: &[
            key("enabled", Form::Boolean, Absence::Default("true"), "False means that only traffic is evidence."),
            key(
                "path",
                Form::Text { accepts: reads::<ProbePath>, expected: PROBE_PATH },
                Absence::Default("\"/\""),
                "Path and query asked for with GET.",
            ),
            key(
                "interval",
                duration(milliseconds(100), minutes(10)),
                Absence::Default("\"2s\""),
                "Between two probes of one address, ±10 %.",
            ),
            key(
                "interval_in_transition",
                duration(milliseconds(50), minutes(10)),
                Absence::Default("\"500ms\""),
                "The same while an address is on its way in or out; at most `interval`.",
            ),
            key(
                "timeout",
                duration(milliseconds(10), minutes(1)),
                Absence::Default("\"1s\""),
                "Connect, head and the looked-at part of the body together; at most `interval`.",
            ),
            key(
                "expect",
                Form::List { item: &PROBE_STATUSES, least: 1, most: 32 },
                Absence::Default("[\"200-399\"]"),
                "Statuses of a healthy origin.",
            ),
            key(
                "body",
                Form::Text { accepts: reads::<ProbeText>, expected: "1 to 1024 bytes of text" },
                Absence::Optional("\"ok\""),
                "Text that must occur in the first 16 KiB of the body; any body will do by default.",
            ),
            key(
                "rise",
                Form::Whole { least: 1, most: 100 },
                Absence::Default("2"),
                "Good probes in a row that bring an address back.",
            ),
            key(
                "fall",
                Form::Whole { least: 1, most: 100 },
                Absence::Default("3"),
                "Bad probes in a row that take an address out of use.",
            ),
        ],
    },
    Section {
        path: "site.origin",
        repeat: Repeat::Several { least: 1, most: 64 },
        sentence: "A place responses come from: a data center, a bucket, a mirror. Every address its name resolves \
                   to is probed and used.",
        keys: &[
            key(
                "name",
                Form::Text { accepts: reads::<Name>, expected: NAME },
                Absence::Optional("\"frankfurt\""),
                "Name in metrics, logs and events, unique in the site; by default host and port of `url`.",
            ),
            key(
                "url",
                Form::Text { accepts: reads::<OriginUrl>, expected: ORIGIN_URL },
                Absence::Required("\"https://frankfurt.example.net\""),
                "Scheme, host and port. The certificate of an https origin is verified against this host.",
            ),
            key(
                "rank",
                Form::Whole { least: 1, most: RANK_MAX },
                Absence::Default("1"),
                "Lower ranks are used first; origins of equal rank share the load.",
            ),
            key(
                "ranks",
                Form::Ranks { most: RANK_MAX },
                Absence::Optional("{ eu = 1, us = 2 }"),
                "Rank by region; nodes of regions not listed here take `rank`.",
            ),
            key(
                "weight",
                Form::Whole { least: 1, most: 256 },
                Absence::Default("1"),
                "Share of the load inside a rank.",
            ),
            key(
                "accepts",
                Form::Word { words: words::<Accepts> },
                Absence::Default("\"all\""),
                "`\"read-only\"` for replicas that must only get safe methods (GET, HEAD, OPTIONS).",
            ),
            key(
                "host",
                Form::Text { accepts: reads::<HostField>, expected: HOST_FIELD },
                Absence::Default("\"origin\""),
                "The `Host` field it gets: that of `url`, the client's, or the one written here.",
            ),
            key(
                "ca_file",
                FILE,
                Absence::Optional("\"/etc/holdover/private-ca.pem\""),
                "PEM file of the authorities this origin is verified against, in place of the public ones.",
            ),
        ],
    },
];

const ADDRESS: Form = Form::Text {
    accepts: reads::<SocketAddr>,
    expected: "an IP address and port, such as \"0.0.0.0:8443\" or \"[::]:8443\"",
};

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

const FAILURE_STATUSES: Form = Form::Statuses { least: 400, most: 599 };

const FILE: Form = Form::Text { accepts: reads::<PathBuf>, expected: "the path of a file" };

const HOST_FIELD: &str = "\"origin\", \"client\", or a host name with or without port";

const HOST_PATTERN: Form = Form::Text {
    accepts: reads::<HostPattern>,
    expected: "a host name without port, such as \"www.example.org\" or \"*.example.org\", in Punycode where it is \
               not ASCII",
};

const KEY_FIELD: Form = Form::Text {
    accepts: reads::<KeyField>,
    expected: "a request field that reaches origins as the client sent it, such as \"x-country\"; cookies have a list of \
               their own",
};

const LOG_TARGET: Form = Form::Text {
    accepts: reads::<LogTarget>,
    expected: "\"stdout\", \"stderr\", \"off\" or the path of a file, with a slash",
};

const MEDIA_TYPE: Form = Form::Text {
    accepts: reads::<MediaType>,
    expected: "a media type without parameters, such as \"application/json\" or \"text/*\"",
};

const NAME: &str = "1 to 64 letters, digits, \"-\", \".\" or \"_\"";

const NAME_SERVER: Form =
    Form::Text { accepts: reads::<NameServer>, expected: "an IP address with or without port, such as \"9.9.9.9\"" };

const NETWORK: Form = Form::Text {
    accepts: reads::<Network>,
    expected: "an IP address or network, such as \"192.0.2.7\" or \"10.0.0.0/8\"",
};

const ORIGIN_URL: &str = "an http:// or https:// URL without a path, such as \"https://a.example:8443\"";

const PARAMETER: Form = Form::Text {
    accepts: reads::<ParameterPattern>,
    expected: "a query parameter's name of up to 256 bytes, such as \"page\", or the beginning of names, such as \"utm_*\"",
};

const PROBE_PATH: &str = "a path that begins with \"/\", with or without a query, such as \"/healthz\"";

const PROBE_STATUSES: Form = Form::Statuses { least: 100, most: 599 };

const PROHIBITION: Form = Form::Word { words: words::<Prohibition> };

const RANK_MAX: u64 = 100;

const REGION: Form = Form::Text {
    accepts: reads::<Region>,
    expected: "1 to 64 lower-case letters, digits, \"-\" or \"_\", such as \"eu\"",
};

const REQUEST_FIELD: Form = Form::Text {
    accepts: reads::<RequestField>,
    expected: "a request field that the cache does not manage itself, such as \"accept-language\", or \"*\" alone \
               for all",
};

const TARGETED_FIELD: Form = Form::Text {
    accepts: reads::<TargetedField>,
    expected: "the name of a field that ends in \"-cache-control\", or \"surrogate-control\"",
};

const TOKEN: &str = "16 to 1024 visible ASCII characters, or \"file:\" and the path of a readable file that holds \
                     them";

const fn key(name: &'static str, form: Form, absence: Absence, sentence: &'static str) -> Key {
    Key { name, form, absence, sentence }
}

const fn duration(least: Duration, most: Duration) -> Form {
    Form::Duration { least, most }
}

const fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

const fn minutes(number: u64) -> Duration {
    seconds(60 * number)
}

const fn hours(number: u64) -> Duration {
    minutes(60 * number)
}

const fn days(number: u64) -> Duration {
    hours(24 * number)
}
