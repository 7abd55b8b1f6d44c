//! Names and values that many messages have.

use std::sync::LazyLock;

use http::header::{self, HeaderName, HeaderValue};

/// The number of `name` in [`NAMES`].
pub(super) fn number_of_name(name: &HeaderName) -> Option<u8> {
    static NUMBERS: LazyLock<ByLength> = LazyLock::new(|| ByLength::of(NAMES.iter().map(|known| known.as_str().len())));
    NUMBERS.find(name.as_str().len(), |number| NAMES[number] == *name)
}

/// The number of `value` in [`VALUES`].
pub(super) fn number_of_value(value: &[u8]) -> Option<u8> {
    static NUMBERS: LazyLock<ByLength> = LazyLock::new(|| ByLength::of(VALUES.iter().map(HeaderValue::len)));
    NUMBERS.find(value.len(), |number| VALUES[number].as_bytes() == value)
}

/// Numbers of texts by the length of these, so that few have to be compared.
struct ByLength(Vec<Vec<u8>>);

impl ByLength {
    fn of(lengths: impl Iterator<Item = usize>) -> Self {
        let mut numbers: Vec<Vec<u8>> = Vec::new();
        for (length, number) in lengths.zip(0..) {
            numbers.resize_with(numbers.len().max(length + 1), Vec::new);
            numbers[length].push(number);
        }
        Self(numbers)
    }

    fn find(&self, length: usize, is: impl Fn(usize) -> bool) -> Option<u8> {
        self.0.get(length)?.iter().copied().find(|number| is((*number).into()))
    }
}

/// Names that responses often have. At most 128.
pub(super) static NAMES: [HeaderName; 84] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::ACCEPT_RANGES,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    header::ACCESS_CONTROL_REQUEST_HEADERS,
    header::ACCESS_CONTROL_REQUEST_METHOD,
    header::AGE,
    header::ALLOW,
    header::ALT_SVC,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CACHE_STATUS,
    header::CDN_CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_SECURITY_POLICY_REPORT_ONLY,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::HOST,
    header::LAST_MODIFIED,
    header::LINK,
    header::LOCATION,
    header::ORIGIN,
    header::PRAGMA,
    header::REFERRER_POLICY,
    header::RETRY_AFTER,
    header::SERVER,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::USER_AGENT,
    header::VARY,
    header::VIA,
    header::X_CONTENT_TYPE_OPTIONS,
    header::X_DNS_PREFETCH_CONTROL,
    header::X_FRAME_OPTIONS,
    header::X_XSS_PROTECTION,
    HeaderName::from_static("accept-ch"),
    HeaderName::from_static("cache-tag"),
    HeaderName::from_static("cf-cache-status"),
    HeaderName::from_static("cf-ray"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("cross-origin-embedder-policy"),
    HeaderName::from_static("cross-origin-opener-policy"),
    HeaderName::from_static("cross-origin-resource-policy"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("origin-agent-cluster"),
    HeaderName::from_static("permissions-policy"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("reporting-endpoints"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("server-timing"),
    HeaderName::from_static("sourcemap"),
    HeaderName::from_static("surrogate-control"),
    HeaderName::from_static("surrogate-key"),
    HeaderName::from_static("timing-allow-origin"),
    HeaderName::from_static("x-amz-id-2"),
    HeaderName::from_static("x-amz-request-id"),
    HeaderName::from_static("x-amz-server-side-encryption"),
    HeaderName::from_static("x-amz-version-id"),
    HeaderName::from_static("x-cache"),
    HeaderName::from_static("x-cache-hits"),
    HeaderName::from_static("x-download-options"),
    HeaderName::from_static("x-permitted-cross-domain-policies"),
    HeaderName::from_static("x-powered-by"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-robots-tag"),
    HeaderName::from_static("x-runtime"),
    HeaderName::from_static("x-served-by"),
    HeaderName::from_static("x-timer"),
    HeaderName::from_static("xkey"),
];

/// Values that responses often have, and those that requests select variants by. At most 128.
pub(super) static VALUES: [HeaderValue; 58] = [
    HeaderValue::from_static(""),
    HeaderValue::from_static("*"),
    HeaderValue::from_static("0"),
    HeaderValue::from_static("1"),
    HeaderValue::from_static("1; mode=block"),
    HeaderValue::from_static("Accept"),
    HeaderValue::from_static("Accept-Encoding"),
    HeaderValue::from_static("Accept-Encoding, Origin"),
    HeaderValue::from_static("DENY"),
    HeaderValue::from_static("GET"),
    HeaderValue::from_static("GET, HEAD, OPTIONS"),
    HeaderValue::from_static("Origin"),
    HeaderValue::from_static("SAMEORIGIN"),
    HeaderValue::from_static("accept-encoding"),
    HeaderValue::from_static("application/javascript"),
    HeaderValue::from_static("application/javascript; charset=utf-8"),
    HeaderValue::from_static("application/json"),
    HeaderValue::from_static("application/json; charset=utf-8"),
    HeaderValue::from_static("application/octet-stream"),
    HeaderValue::from_static("br"),
    HeaderValue::from_static("br, gzip"),
    HeaderValue::from_static("br, gzip, zstd"),
    HeaderValue::from_static("br, zstd"),
    HeaderValue::from_static("bytes"),
    HeaderValue::from_static("cross-origin"),
    HeaderValue::from_static("en"),
    HeaderValue::from_static("font/woff2"),
    HeaderValue::from_static("gzip"),
    HeaderValue::from_static("gzip, zstd"),
    HeaderValue::from_static("image/gif"),
    HeaderValue::from_static("image/jpeg"),
    HeaderValue::from_static("image/png"),
    HeaderValue::from_static("image/svg+xml"),
    HeaderValue::from_static("image/webp"),
    HeaderValue::from_static("image/x-icon"),
    HeaderValue::from_static("max-age=31536000"),
    HeaderValue::from_static("max-age=3600"),
    HeaderValue::from_static("max-age=60"),
    HeaderValue::from_static("max-age=86400"),
    HeaderValue::from_static("nginx"),
    HeaderValue::from_static("no-cache"),
    HeaderValue::from_static("none"),
    HeaderValue::from_static("nosniff"),
    HeaderValue::from_static("public, max-age=31536000"),
    HeaderValue::from_static("public, max-age=31536000, immutable"),
    HeaderValue::from_static("public, max-age=3600"),
    HeaderValue::from_static("public, max-age=86400"),
    HeaderValue::from_static("same-origin"),
    HeaderValue::from_static("strict-origin-when-cross-origin"),
    HeaderValue::from_static("text/css"),
    HeaderValue::from_static("text/css; charset=utf-8"),
    HeaderValue::from_static("text/html"),
    HeaderValue::from_static("text/html; charset=utf-8"),
    HeaderValue::from_static("text/javascript; charset=utf-8"),
    HeaderValue::from_static("text/plain"),
    HeaderValue::from_static("true"),
    HeaderValue::from_static("video/mp4"),
    HeaderValue::from_static("zstd"),
];
