//! The node: its sockets, its memory, its logs and its certificates.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::row::{
    FILE, HOST_PATTERN, NAME, NETWORK, TOKEN, days, duration, hours, key, milliseconds, minutes, seconds,
};
use crate::config::form::{Form, reads};
use crate::config::model::LogTarget;
use crate::config::names::{Name, NameServer, Region, Token};
use crate::config::section::{Absence, Repeat, Section};

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
                "Most client connections open at once, over all workers. A silent one takes some 10 KiB of memory over \
                 HTTP/1.1, 24 KiB over HTTP/2.",
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
                "Name servers, all of which are asked at once; none means those of the system.",
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
            key(
                "allow",
                Form::List { item: &NETWORK, least: 0, most: 64 },
                Absence::Default("[]"),
                "Networks of which every address may be an origin's. Of other addresses that DNS gives, those of loopback, of \
                 the link (169.254.0.0/16, fe80::/10), multicast, broadcast, unspecified ones and what this node \
                 listens on are not used. Addresses written in a `url` and names under `localhost` are.",
            ),
        ],
    },
    Section {
        path: "state",
        repeat: Repeat::Once,
        sentence: "What the node remembers from one start to the next: the last good DNS answers of its origins, so that it \
                   serves at once while no name resolves.",
        keys: &[key(
            "directory",
            DIRECTORY,
            Absence::Optional("\"/var/lib/holdover\""),
            "Where it is kept, as `origins.json`; by default the first path in the environment variable \
             `STATE_DIRECTORY`, which systemd sets, or nowhere. Answers older than 3 days do not count.",
        )],
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
];

const ADDRESS: Form = Form::Text {
    accepts: reads::<SocketAddr>,
    expected: "an IP address and port, such as \"0.0.0.0:8443\" or \"[::]:8443\"",
};

const DIRECTORY: Form = Form::Text { accepts: reads::<PathBuf>, expected: "the path of a directory" };

const LOG_TARGET: Form = Form::Text {
    accepts: reads::<LogTarget>,
    expected: "\"stdout\", \"stderr\", \"off\" or the path of a file, with a slash",
};

const NAME_SERVER: Form =
    Form::Text { accepts: reads::<NameServer>, expected: "an IP address with or without port, such as \"9.9.9.9\"" };

const REGION: Form = Form::Text {
    accepts: reads::<Region>,
    expected: "1 to 64 lower-case letters, digits, \"-\" or \"_\", such as \"eu\"",
};
