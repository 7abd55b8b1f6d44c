//! The fuzz targets: what they run, and the texts they start from.

use super::checks;

/// A target and texts it starts from; the fuzzers cut, join and damage them.
pub struct Target {
    /// The name of its file in `fuzz_targets`.
    pub name: &'static str,
    /// Panics if something does not hold.
    pub run: fn(&[u8]),
    /// Texts that reach far, joined by what the fuzzers insert.
    pub seeds: &'static [&'static str],
}

/// Every target, by name.
pub const TARGETS: [Target; 17] = [
    Target {
        name: "cache_control",
        run: checks::cache_control,
        seeds: &[
            "cache-control: max-age=60, s-maxage=\"7\", no-cache=\"a, b\", private\ncache-control: must-revalidate, public",
            "cache-control: stale-while-revalidate=99999999999, stale-if-error=-1, x=\"max-age=1\\\", no-store\", no-store",
            "cache-control: max-stale, min-fresh=3, only-if-cached, max-age=003600, must-understand\npragma: no-cache",
        ],
    },
    Target {
        name: "targeted_field",
        run: checks::targeted_field,
        seeds: &[
            "cdn-cache-control: max-age=60, no-store=?0, private;a=1;b=\"c\", s-maxage=?1\ncache-control: no-store",
            "cdn-cache-control: max-age=999999999999999, a=1.5, b=tok/en:1, c=\"\\\\\\\"\"\ncdn-cache-control: *x=-7",
            "surrogate-control: content=\"ESI/1.0\", max-age=60, no-store\ncdn-cache-control: max-age=1, ",
        ],
    },
    Target {
        name: "range",
        run: checks::range,
        seeds: &[
            "range: bytes=0-99\nif-range: \"v1\"\n\netag: \"v1\"\ncontent-length: 1000",
            "range: bytes=-5, 7-, 1-2\n\ncontent-length: 10",
            "range: bytes=18446744073709551615-\nif-range: Thu, 01 Jan 2026 00:00:00 GMT\n\nlast-modified: Thu, 01 Jan 2026 00:00:00 GMT\ndate: Thu, 01 Jan 2026 00:00:01 GMT\ncontent-length: 0",
        ],
    },
    Target {
        name: "content_range",
        run: checks::read_content_range,
        seeds: &["bytes 0-4/10", "bytes 5-9/*", "BYTES 18446744073709551614-18446744073709551614/18446744073709551615"],
    },
    Target {
        name: "target",
        run: checks::request_target,
        seeds: &[
            "/a/./b/../c%2e%2F%c3%a9;p=1/?q=%zz&a=b\nwww.Example.test.:8080",
            "https://user@[2001:db8::1]:443/..%2f%5c\\x\n[2001:DB8::1]",
            "/.../a//b/%7Euser/%00/..;/\nlocalhost",
        ],
    },
    Target {
        name: "date",
        run: checks::date,
        seeds: &[
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sat, 31 Dec 2016 23:59:60 gmt",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ],
    },
    Target {
        name: "variants",
        run: checks::variants,
        seeds: &[
            "accept-encoding: gzip;q=0.5, br, *;q=0\naccept-language: de, en ,\nfoo:  1, 2 \nfoo: 3\n\nvary: foo, Accept-Encoding\nvary: accept-language",
            "accept: text/html;q=1.000,, */*\naccept-encoding: x-gzip;Q=1., zstd;q=0.000, identity\n\nvary: accept,foo,,foo",
            "\n\nvary: *, foo",
        ],
    },
    Target {
        name: "validators",
        run: checks::validators,
        seeds: &[
            "if-none-match: \"a\", W/\"b\",\"c,d\"\nif-modified-since: Thu, 01 Jan 2026 00:00:00 GMT\n\netag: W/\"b\"\nlast-modified: Thu, 01 Jan 2026 00:00:00 GMT",
            "if-none-match: *\n\netag: \"\"\nage: 7\nset-cookie: a=b\ncontent-length: 3\nconnection: foo\nfoo: bar",
            "if-none-match: \"a\" \"b\", W/\"\\\"\n\netag: \"\\\"\ncontent-encoding: gzip\ndate: Sun Nov  6 08:49:37 1994",
        ],
    },
    Target {
        name: "storing",
        run: checks::storing,
        seeds: &[
            "authorization: Basic Zm9v\n\ncache-control: s-maxage=60, stale-if-error=9\nage: 7, 8\ndate: Thu, 01 Jan 2026 00:00:00 GMT\nvary: accept",
            "cookie: a=b\n\nexpires: Thu, 01 Jan 2026 00:01:00 GMT\ndate: Thu, 01 Jan 2026 00:00:00 GMT\nset-cookie: a=b",
            "\n\nlast-modified: Thu, 01 Jan 2015 00:00:00 GMT\ncache-control: public, no-store, must-understand\nage: 99999999999999999999",
        ],
    },
    Target {
        name: "forwarding",
        run: checks::forwarding,
        seeds: &[
            "connection: keep-alive, foo, cache-control, content-length\nfoo: 1\nte: trailers\nvia: 1.1 other (a, b), 2 edge-1\ncdn-loop: x;a=1, edge-1",
            "cookie: a=b\ncookie: c=d\ntransfer-encoding: chunked\nproxy-authorization: x\nvia: ,1.0\tfred:80",
        ],
    },
    Target {
        name: "tags",
        run: checks::read_tags,
        seeds: &["surrogate-key: a b  c\tb\ncache-tag: x, y z,\nxkey: q", "cache-tag: \u{e9},\u{e9}"],
    },
    Target {
        name: "invalidation",
        run: checks::invalidation,
        seeds: &[
            "/a/b?c\nwww.test:8443\nlocation: ../x/./y?z#f\ncontent-location: https://WWW.test:8443/%7eq",
            "/\n[2001:db8::1]\nlocation: //[2001:DB8::1]:443/x\ncontent-location: ?q",
            "/a//..\nwww.test\nlocation: https:x\ncontent-location: mailto:a@b",
        ],
    },
    Target {
        name: "digests",
        run: checks::digests,
        seeds: &[
            "repr-digest: sha-256=:hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGfltvtn4gveII=:, md5=:1B2M2Y8AsgTpgAmY7PhCfg==:;x=1",
            "content-digest: unixsum=30637, sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:\ncontent-digest: sha-256=:AAAA:",
        ],
    },
    Target {
        name: "response_heads",
        run: checks::response_heads,
        seeds: &[
            "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody\r\n\r\nmore",
            "\r\n\nHTTP/1.0 100 Continue\n\nHTTP/1.1 204\nx: y\n\r\n\n",
        ],
    },
    Target {
        name: "keys",
        run: checks::keys,
        seeds: &[
            "7/a?b=1&utm_source=x&a=2&&a=1&%61=3&filter%5Ba%5D=;c\naccept-language: de , en\nfoo: 1, \"2\nfoo: 3\ncookie: x=1; sid=2;  lang=de; sid=\ncookie: sid=%",
            "0/?\nfoo:",
        ],
    },
    Target {
        name: "config",
        run: checks::config,
        seeds: &[
            include_str!("../../config/holdover.toml"),
            include_str!("../../config/minimal.toml"),
            include_str!("../../config/full.toml"),
        ],
    },
    Target {
        name: "memory",
        run: checks::memory,
        seeds: &[
            r#"{"version":1,"sites":{"s":{"o":{"answer":{"name":"a.test","answered_at":1800000000,"places":[{"address":"192.0.2.1:443","priority":0,"weight":16},{"address":"[2001:db8::1]:443"}]}}}}}"#,
            r#"{"version":1,"sites":{"s":{"o":{"duty":"drained"}, "p":{"answer":null,"duty":null}}}}"#,
        ],
    },
];
