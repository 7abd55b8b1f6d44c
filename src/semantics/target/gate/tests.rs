//! Every vector that a lenient server lets through, and what becomes of it here.

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri, Version};

use super::{BadTarget, target};
use crate::semantics::field::fields;

const H1: Version = Version::HTTP_11;
const H2: Version = Version::HTTP_2;

#[test]
fn exactly_one_consistent_authority() {
    check_host("origin-form", H1, "/", &["a.example"], Ok(("a.example", None)));
    check_host("the host is case-insensitive", H1, "/", &["A.eXample"], Ok(("a.example", None)));
    check_host("a trailing dot is left out", H1, "/", &["a.example."], Ok(("a.example", None)));
    check_host("a port", H1, "/", &["a.example:8443"], Ok(("a.example", Some(8443))));
    check_host("the default port as written", H1, "/", &["a.example:443"], Ok(("a.example", Some(443))));
    check_host("an empty port is the default port", H1, "/", &["a.example:"], Ok(("a.example", None)));
    check_host("IPv4", H1, "/", &["127.0.0.1:80"], Ok(("127.0.0.1", Some(80))));
    check_host("IPv6", H1, "/", &["[2001:DB8:0::1]:80"], Ok(("2001:db8::1", Some(80))));
    check_host("IPv6 without port", H1, "/", &["[::1]"], Ok(("::1", None)));
    check_host("a port with leading zeros", H1, "/", &["a.example:00080"], Ok(("a.example", Some(80))));
    check_host("a trailing dot before a port", H1, "/", &["a.EXAMPLE.:443"], Ok(("a.example", Some(443))));
    check_host("an underscore", H1, "/", &["a_b.example"], Ok(("a_b.example", None)));
    check_host("absolute-form", H1, "http://a.example/", &["a.example"], Ok(("a.example", None)));
    check_host("absolute-form, other case", H1, "http://A.example/", &["a.EXAMPLE."], Ok(("a.example", None)));
    check_host("absolute-form, default port", H1, "http://a.example:80/", &["a.example"], Ok(("a.example", Some(80))));
    check_host(":authority", H2, "https://a.example/", &[], Ok(("a.example", None)));
    check_host(":authority = Host", H2, "https://a.example/", &["a.example:443"], Ok(("a.example", None)));
    check_host("Host alone in HTTP/2", H2, "/", &["a.example"], Ok(("a.example", None)));
    check_host("HTTP/1.0 with Host", Version::HTTP_10, "/", &["a.example"], Ok(("a.example", None)));
    check_host("HTTP/1.0, absolute-form", Version::HTTP_10, "http://a.example/", &[], Ok(("a.example", None)));

    use BadTarget::{Disagreement, Host, MissingHost, Port, Scheme, SeveralHosts, UserInformation};
    check_host("no Host", H1, "/", &[], Err(MissingHost));
    check_host("no Host in absolute-form", H1, "http://a.example/", &[], Err(MissingHost));
    check_host("no Host in HTTP/1.0", Version::HTTP_10, "/", &[], Err(MissingHost));
    check_host("neither :authority nor Host", H2, "/", &[], Err(MissingHost));
    check_host("two Hosts", H1, "/", &["a.example", "b.example"], Err(SeveralHosts));
    check_host("twice the same Host", H1, "/", &["a.example", "a.example"], Err(SeveralHosts));
    check_host("two Hosts in HTTP/2", H2, "https://a.example/", &["a.example", "a.example"], Err(SeveralHosts));
    check_host("absolute-form with another host", H1, "http://b.example/", &["a.example"], Err(Disagreement));
    check_host("absolute-form with another port", H1, "http://a.example:81/", &["a.example"], Err(Disagreement));
    check_host(":authority is not Host", H2, "https://a.example/", &["b.example"], Err(Disagreement));
    check_host("an address is not a name", H1, "http://[::1]/", &["localhost"], Err(Disagreement));
    check_host("absolute-form with userinfo", H1, "http://u@a.example/", &["a.example"], Err(UserInformation));
    check_host("userinfo in :authority", H2, "https://u:p@a.example/", &[], Err(UserInformation));
    check_host("userinfo in Host", H1, "/", &["u@a"], Err(UserInformation));
    check_host("userinfo, whatever else is wrong", H1, "/", &["é..u@a:99999"], Err(UserInformation));
    check_host("userinfo behind an address", H1, "/", &["[::1]@a"], Err(UserInformation));
    check_host("port 99999 in :authority", H2, "https://a.example:99999/", &[], Err(Port));
    for port in ["0", "65536", "99999", "+80", "-1", "8x", "80 ", "000080", "80:80", "é"] {
        check_host("port", H1, "/", &[&format!("a.example:{port}")], Err(Port));
    }
    check_host("another scheme", H1, "ftp://a.example/", &["a.example"], Err(Scheme));
    check_host("a WebSocket scheme", H2, "wss://a.example/", &[], Err(Scheme));
    for host in [
        "",
        ".",
        "..",
        ":",
        ":80",
        "a, b",
        "a,b",
        "a b",
        " a",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "a..b",
        ".a",
        "a..",
        "a%41",
        "a'b",
        "a\"b",
        "<a>",
        "*.a",
        "é.example",
        "[::1",
        "[]",
        "[::1]x",
        "[::1%25eth0]",
        "[v1.a]",
        "[1.2.3.4]",
        "::1",
        "[::g]",
    ] {
        check_host("invalid host", H1, "/", &[host], Err(Host));
    }
    check_host("the longest label", H1, "/", &[&"a".repeat(63)], Ok((&"a".repeat(63), None)));
    check_host("a long label", H1, "/", &[&"a".repeat(64)], Err(Host));
    check_host("a long label before others", H1, "/", &[&format!("{}.b", "a".repeat(64))], Err(Host));
    check_host("a long label before a port", H1, "/", &[&format!("{}:80", "A".repeat(64))], Err(Host));
    check_host("a long name", H1, "/", &[&"a.".repeat(127)], Ok((&"a.".repeat(127)[..253], None)));
    check_host("a longer name", H1, "/", &[&"a.".repeat(128)], Err(Host));
}

#[test]
fn a_host_field_that_is_no_text() {
    use BadTarget::{Host, UserInformation};
    for (host, expected) in [(&b"a\xff"[..], Host), (b"a:8\xff", Host), (b"\xffu@a", UserInformation)] {
        let mut headers = fields(&[]);
        headers.insert(HOST, HeaderValue::from_bytes(host).expect("a field value need not be text"));
        assert_eq!(target("https", &Uri::from_static("/"), &headers, H1), Err(expected), "{host:?}");
    }
}

#[test]
fn paths_that_mean_one_thing() {
    check("/", Ok("/"));
    check("/a/b.css", Ok("/a/b.css"));
    check("/a?b=c", Ok("/a?b=c"));
    check("/a?b?c", Ok("/a?b?c"));
    check("/%41?b?c", Ok("/A?b?c"));
    check("/a.?.b/.c", Ok("/a.?.b/.c"));
    check("/?", Ok("/?"));
    check("/:@!$&'()*+,;=-._~", Ok("/:@!$&'()*+,;=-._~"));
    check("http://a.example?x", Ok("/?x"));
    check("http://a.example", Ok("/"));

    // Dot segments are removed, as RFC 3986 §5.2.4 does.
    check("/a/b/c/./../../g", Ok("/a/g"));
    check("/./a", Ok("/a"));
    check("/a/.", Ok("/a/"));
    check("/a/..", Ok("/"));
    check("/a/b/..", Ok("/a/"));
    check("/..", Ok("/"));
    check("/.", Ok("/"));
    check("/../../a", Ok("/a"));
    check("/a//../b", Ok("/a/b"));
    check("/../a?x=/../b", Ok("/a?x=/../b"));
    check("/a/../b//", Ok("/b//"));
    check("/.well-known/x", Ok("/.well-known/x"));
    check("/.../..a/a../.a", Ok("/.../..a/a../.a"));

    // Percent-encoding is normalized.
    check("/%7euser/%41%2D%5f%30", Ok("/~user/A-_0"));
    check("/a%2ehtml", Ok("/a.html"));
    check("/%2ewell-known", Ok("/.well-known"));
    check("/%c3%a9", Ok("/%C3%A9"));
    check("/a%20b%3a%3F", Ok("/a%20b%3A%3F"));
    check("/@scope%2fname", Ok("/@scope%2Fname"));
    check("/a%5cb", Ok("/a%5Cb"));
    check("/a%25", Ok("/a%25"));
    check("/%2541", Ok("/%2541"));
    check("/%25%34%31", Ok("/%2541"));
    check("/%252e%252e/a", Ok("/%252e%252e/a"));
    check("/\"{|}^[]", Ok("/%22%7B%7C%7D%5E%5B%5D"));
    check("/a%0d%0ab", Ok("/a%0D%0Ab"));

    // What decides nothing is left alone.
    check("/acct;.css", Ok("/acct;.css"));
    check("/acct;jsessionid=1/x", Ok("/acct;jsessionid=1/x"));
    check("//a//b", Ok("//a//b"));
    check("/acct%23.css", Ok("/acct%23.css"));
    check("/acct%3f.css", Ok("/acct%3F.css"));
    check("/a?%2e%2E&%zz&%00&\\&a=/../", Ok("/a?%2e%2E&%zz&%00&\\&a=/../"));

    // The parser cuts a fragment off before the gate sees it.
    check("/a#b", Ok("/a"));
}

#[test]
fn paths_that_could_mean_two_things() {
    use BadTarget::{Asterisk, Backslash, Byte, HiddenDotSegment, NullByte, Path, PercentTriplet};
    check("*", Err(Asterisk));
    check("http://a.example/*", Ok("/*"));
    check("a.example:443", Err(Path));
    check("a", Err(Path));

    check("/a\\b", Err(Backslash));
    check("/..\\acct", Err(HiddenDotSegment));
    check("/a/.\\x", Err(HiddenDotSegment));
    check("/a%00.css", Err(NullByte));
    check("/%00", Err(NullByte));
    for path in ["/%", "/a%", "/%4", "/%zz", "/%4g", "/%%34", "/a%/b", "/%4/1"] {
        check(path, Err(PercentTriplet));
    }
    for path in [
        "/%2e%2e/acct",
        "/a/%2E%2E",
        "/.%2e/acct",
        "/%2e./acct",
        "/%2e/acct",
        "/a/%2e",
        "/x/..%2facct",
        "/x/..%2Facct",
        "/x%2f..%2facct",
        "/x%2f../acct",
        "/x%2f..",
        "/x%2f%2e%2e%2facct",
        "/x/.%2facct",
        "/x/..%5cacct",
        "/x%5c..%5cacct",
        "/x/%2e%2e%5cacct",
        "/..;/acct",
        "/x/..;a=b/acct",
        "/x/%2e%2e;/acct",
        "/x/..%3b/acct",
        "/x/.;/acct",
        "/static/..%2facct.css",
    ] {
        check(path, Err(HiddenDotSegment));
    }
    for path in ["/é", "/a?é", "/é/../a?é"] {
        check(path, Err(Byte));
    }
    // Refused by the parser of the HTTP library, before the gate.
    for path in ["", "/a b", "/a\tb", "/a\0b", "/a\x7fb", "/a\r\nb", "/<a>", "/`", "/a?b c", "/a?\0"] {
        assert!(Uri::try_from(path).is_err(), "{path:?}");
    }

    // `:path` of "*" beside an authority, which no request line can say.
    let mut parts = Uri::from_static("https://a.example/").into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static("*"));
    let uri = Uri::from_parts(parts).expect("the parser of HTTP/2 makes such URIs");
    assert_eq!(target("https", &uri, &fields(&[]), H2), Err(Asterisk));
}

#[test]
fn canonicalization_is_idempotent() {
    const PIECES: [&str; 18] =
        ["/", "//", ".", "..", "...", "a", ";", "%2e", "%2E", "%2f", "%5C", "%41", "%25", "%3b", "%c3", "|", "?", "%"];
    let mut accepted = 0;
    for first in PIECES {
        for second in PIECES {
            for third in PIECES {
                for fourth in PIECES {
                    let path = format!("/{first}{second}{third}{fourth}");
                    if let Ok(once) = canonical_of(&path) {
                        accepted += 1;
                        assert_eq!(canonical_of(&once), Ok(once.clone()), "{path}");
                        let (path_alone, _) = once.split_once('?').unwrap_or((&once, ""));
                        assert!(
                            !path_alone.split('/').any(|segment| matches!(segment, "." | "..")),
                            "{path} -> {once}"
                        );
                    }
                }
            }
        }
    }
    assert!(accepted > 10_000, "the walk has to reach accepted paths, not {accepted}");
}

fn check_host(
    case: &str,
    version: Version,
    uri: &str,
    hosts: &[&str],
    expected: Result<(&str, Option<u16>), BadTarget>,
) {
    let uri = Uri::try_from(uri).expect("a table holds what the parser accepts");
    let lines: Vec<_> = hosts.iter().map(|&host| ("host", host)).collect();
    let found = target("https", &uri, &fields(&lines), version);
    let found = found.as_ref().map(|target| (target.host(), target.port())).map_err(|&fault| fault);
    assert_eq!(found, expected, "{case}: {uri} {hosts:?}");
}

fn check(uri: &str, expected: Result<&str, BadTarget>) {
    assert_eq!(canonical_of(uri), expected.map(String::from), "{uri:?}");
}

fn canonical_of(uri: &str) -> Result<String, BadTarget> {
    let uri = Uri::try_from(uri).expect("a table holds what the parser accepts");
    let host = uri.authority().map_or("a.example", |authority| authority.as_str()).to_owned();
    let headers = fields(&[("host", &host)]);
    target("https", &uri, &headers, H1).map(|target| target.path_and_query().to_owned())
}
