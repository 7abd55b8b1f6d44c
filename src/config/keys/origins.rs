//! A site's origins: deadlines, failover, failback, probes, and the origins themselves.

use std::time::Duration;

use super::row::{FILE, MEDIA_TYPE, NAME, days, duration, hours, key, milliseconds, minutes, seconds};
use crate::config::form::{Form, reads};
use crate::config::model::{Accepts, FailbackMode, HostField};
use crate::config::names::{ExpectedField, Extension, Name, OriginUrl, PathPrefix, ProbePath, ProbeText, ServiceName};
use crate::config::section::{Absence, Repeat, Section};
use crate::config::words::words;

pub(super) const SECTIONS: &[Section] = &[
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
                "body_rate_min",
                Form::Size { least: 0, most: 16 << 20 },
                Absence::Default("\"1KiB\""),
                "A body that brings less than this per second is continued at another address, if it has a strong ETag; when \
                 nobody can, it goes on as slowly as it comes. `\"0\"` never leaves a slow body.",
            ),
            key(
                "body_rate_window",
                duration(seconds(1), minutes(10)),
                Absence::Default("\"5s\""),
                "Over which time that rate is taken; only time spent waiting for the origin counts.",
            ),
            key(
                "idle",
                duration(seconds(1), minutes(10)),
                Absence::Default("\"15s\""),
                "Longest time that an unused connection to an origin is kept; `Keep-Alive` of its responses may shorten it.",
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
                "hold",
                duration(Duration::ZERO, minutes(1)),
                Absence::Default("\"1s\""),
                "How long, ±20 %, a failure that could not be helped answers those who ask for the same URL after it, so \
                 that a crowd does not repeat it; `Retry-After` may prolong it to a minute. 0 is not at all.",
            ),
            key(
                "no_fallback",
                Form::Boolean,
                Absence::Default("true"),
                "Whether a failure whose origin says `No-Fallback` goes to clients as it is: no other origin is asked, no \
                 stale response answers, and it does not count against the origin. The field does not reach them.",
            ),
            key(
                "consecutive_failures",
                Form::Whole { least: 1, most: 1000 },
                Absence::Default("3"),
                "Failed requests in a row that take an address out of use.",
            ),
            key(
                "warm",
                Form::Whole { least: 0, most: 16 },
                Absence::Default("1"),
                "Connections that each worker keeps open to the origin that would be asked next, so that a failover \
                 waits for no handshake.",
            ),
            key(
                "retry_budget",
                Form::Percent { most: 100 },
                Absence::Default("\"5%\""),
                "Requests to origins that may be spent in vain on tries after a failed one, in percent of those that clients \
                 cause; ten, and one in a second, are free. A failover that brings an answer costs nothing. None at 0.",
            ),
            key(
                "hedge_budget",
                Form::Percent { most: 100 },
                Absence::Default("\"2%\""),
                "The same for tries beside an origin that owes an answer for longer than 95 of 100 of its answers take, \
                 and 250 ms at least. None at 0.",
            ),
        ],
    },
    Section {
        path: "site.expect",
        repeat: Repeat::Several { least: 0, most: 64 },
        sentence: "What answers to GET and HEAD look like when their origin is well. One that does not is a failure: the \
                   request goes on to the next origin, and the answer is not stored. The first table that is of a path \
                   counts, and has at least one of `types`, `statuses` and `min`.",
        keys: &[
            key(
                "extensions",
                Form::List { item: &EXTENSION, least: 1, most: 64 },
                Absence::Optional("[\"js\", \"mjs\"]"),
                "Extensions of the paths that it is of; by default any or none.",
            ),
            key(
                "prefixes",
                Form::List { item: &PATH_PREFIX, least: 1, most: 64 },
                Absence::Optional("[\"/static/\"]"),
                "Beginnings of the paths that it is of; by default any.",
            ),
            key(
                "types",
                Form::List { item: &MEDIA_TYPE, least: 1, most: 64 },
                Absence::Choice("[\"text/javascript\", \"application/javascript\"]"),
                "Media types of 200, 203 and 206; by default any. Errors and redirects may have any type.",
            ),
            key(
                "statuses",
                Form::List { item: &RESPONSE_STATUSES, least: 1, most: 32 },
                Absence::Optional("[\"2xx\", \"3xx\", 404, 410]"),
                "Statuses; by default any. 206 is one where 200 is, and 304 always. Those of `failover.statuses` are \
                 failures all the same.",
            ),
            key(
                "min",
                Form::Size { least: 1, most: EXPECTED_BYTES_MAX },
                Absence::Optional("\"100\""),
                "Shortest body of a 200, in bytes as they come, coded or not. Where the head does not say, it waits for so \
                 many.",
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
                 along; doubled with each return that did not last, up to 10 minutes.",
            ),
            key(
                "dwell",
                duration(Duration::ZERO, days(1)),
                Absence::Default("\"30s\""),
                "Least time that requests stay with one origin before they go to a better one.",
            ),
            key(
                "ramp",
                duration(Duration::ZERO, hours(1)),
                Absence::Default("\"30s\""),
                "Time in which it takes its share back: 1, 10, 50 and then 100 % of the URLs, always the same ones \
                 first. `\"0s\"` gives it all of them at once.",
            ),
            key(
                "mode",
                Form::Word { words: words::<FailbackMode> },
                Absence::Default("\"auto\""),
                "Whether it comes back by itself, or (`\"manual\"`) when an operator says so: `holdover origin`.",
            ),
        ],
    },
    Section {
        path: "site.latency",
        repeat: Repeat::Once,
        sentence: "When an origin that answers is too slow: once several requests in a row have waited too long for the \
                   head of a response, those of another origin that is not slow go first. A trickle of requests finds \
                   out when it is quick again.",
        keys: &[
            key("demote", Form::Boolean, Absence::Default("true"), "False uses a slow origin as long as it answers."),
            key(
                "budget",
                duration(milliseconds(10), minutes(5)),
                Absence::Optional("\"800ms\""),
                "What is too long; by default `factor` times what is usual for the origin.",
            ),
            key(
                "factor",
                Form::Whole { least: 2, most: 1000 },
                Absence::Default("5"),
                "How many times its usual time an origin may take when there is no `budget`; less than 250 ms is never \
                 too long.",
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
                "interval_down",
                duration(milliseconds(100), hours(1)),
                Absence::Default("\"10s\""),
                "The longest it becomes for an address that stays out of use while others serve: a hundred and fiftieth \
                 of the time it has been out, from `interval` up to this. At least `interval`, which replaces a shorter \
                 default.",
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
                "latency_max",
                duration(milliseconds(1), minutes(1)),
                Absence::Optional("\"800ms\""),
                "Longest time from the request sent to the head of the answer, beyond which the probe has failed; at \
                 most `timeout`, which alone holds by default.",
            ),
            key(
                "fields",
                Form::List { item: &EXPECTED_FIELD, least: 0, most: 32 },
                Absence::Default("[]"),
                "Fields that a healthy origin sends, each a name alone or with text that must occur in a value of it, \
                 in whatever case.",
            ),
            key(
                "body",
                PROBE_TEXT,
                Absence::Optional("\"ok\""),
                "Text that must occur in the first 16 KiB of the body; any body will do by default.",
            ),
            key(
                "body_regex",
                PROBE_TEXT,
                Absence::Optional("\"(?i)status: *(ok|degraded)\""),
                "A regular expression, in the syntax of the Rust crate regex, that must match somewhere in the first 16 \
                 KiB of the body; `$`, written `$$` in this file, is their end or, after `(?m)`, that of a line.",
            ),
            key(
                "body_min",
                Form::Size { least: 1, most: 1 << 20 },
                Absence::Optional("512"),
                "Least length of the body. `Content-Length` decides at once; without it, the body is read this far.",
            ),
            key(
                "lame_duck",
                Form::List { item: &EXPECTED_FIELD, least: 0, most: 8 },
                Absence::Default("[\"x-health: drain\", \"x-envoy-immediate-health-check-fail\"]"),
                "Fields by one of which the answer to a probe says that its address is going away, whatever else it says: \
                 no failure, though there are no new requests for it while another address is usable.",
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
                "srv",
                Form::Text { accepts: reads::<ServiceName>, expected: SERVICE },
                Absence::Optional("\"_https._tcp.frankfurt.example.net\""),
                "Name of SRV records (RFC 2782) that say where to connect: targets and ports, of which those of the lowest \
                 priority that work are used, by weight. `Host` and the certificate stay those of `url`, which is not \
                 looked up.",
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
                "requests_max",
                Form::Whole { least: 1, most: REQUESTS_MAX },
                Absence::Default("256"),
                "Most requests under way at this origin from this node, until their bodies have ended.",
            ),
            key(
                "queue_max",
                Form::Whole { least: 0, most: REQUESTS_MAX },
                Absence::Default("256"),
                "Further ones that may wait for their turn, as long as for a connect; beyond that the next origin is \
                 asked.",
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
            key(
                "client_certificate",
                FILE,
                Absence::Optional("\"/etc/holdover/client.pem\""),
                "PEM file of the chain, leaf first, that the node shows this origin when it asks for a certificate; with \
                 `client_key`.",
            ),
            key(
                "client_key",
                FILE,
                Absence::Optional("\"/etc/holdover/client.key\""),
                "PEM file of the key of `client_certificate`, not encrypted.",
            ),
        ],
    },
];

/// What is read of a body before its head is believed is kept in memory.
const EXPECTED_BYTES_MAX: u64 = 64 << 10;

const EXTENSION: Form = Form::Text {
    accepts: reads::<Extension>,
    expected: "1 to 32 letters, digits, \"-\" or \"_\", without a dot, such as \"js\"",
};

const EXPECTED_FIELD: Form = Form::Text {
    accepts: reads::<ExpectedField>,
    expected: "the name of a field, with or without \":\" and text, such as \"content-type: text/html\"",
};

const FAILURE_STATUSES: Form = Form::Statuses { least: 400, most: 599 };

const HOST_FIELD: &str = "\"origin\", \"client\", or a host name with or without port";

const ORIGIN_URL: &str = "an http:// or https:// URL without a path, such as \"https://a.example:8443\"";

const PATH_PREFIX: Form = Form::Text {
    accepts: reads::<PathPrefix>,
    expected: "the beginning of a path, from its \"/\" on and without a query, such as \"/static/\"",
};

const PROBE_PATH: &str = "a path that begins with \"/\", with or without a query, such as \"/healthz\"";

const PROBE_STATUSES: Form = Form::Statuses { least: 100, most: 599 };

const SERVICE: &str = "a name of SRV records, such as \"_https._tcp.origin.example.net\"";

const PROBE_TEXT: Form = Form::Text { accepts: reads::<ProbeText>, expected: "1 to 1024 bytes of text" };

const RANK_MAX: u64 = 100;

const REQUESTS_MAX: u64 = 100_000;

const RESPONSE_STATUSES: Form = Form::Statuses { least: 200, most: 599 };
