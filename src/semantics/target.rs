//! The strict gate: exactly one target, in one canonical form (RFC 9110 §7.1, RFC 9112 §3.2, RFC 3986 §6.2.2).
//!
//! What the gate lets through is what the key is made of and what origins get, byte for byte. It refuses whatever an
//! origin could understand in another way than the cache does; only what means the same to everyone is normalized.

use std::net::Ipv6Addr;

use http::header::HOST;
use http::{HeaderMap, Uri, Version};

/// The target of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Lower-case name without trailing dot, or an IP address; IPv6 without brackets.
    pub host: Box<str>,
    /// As written, even if it is the scheme's default.
    pub port: Option<u16>,
    /// Canonical; begins with "/".
    pub path_and_query: Box<str>,
}

impl Target {
    /// `host[:port]` as a URI has it, with this port: IPv6 in brackets (RFC 3986 §3.2).
    pub fn authority(&self, port: Option<u16>) -> String {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        [open, &self.host, close, &port].concat()
    }
}

/// Why a request has no acceptable target; each is answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// The server as a whole (RFC 9112 §3.2.4), which OPTIONS alone can be about.
    #[error("\"*\" is a target for OPTIONS without a body; expected a path that begins with \"/\"")]
    Asterisk,
    /// A backslash in the path, which some servers take for a slash.
    #[error("backslash in the path; write it as %5C")]
    Backslash,
    /// A control byte, a space or a byte that is not ASCII in the path or query.
    #[error("control or non-ASCII byte in the path or query; percent-encode it")]
    Byte,
    /// Host field and request target name different hosts.
    #[error("the Host field and the request target name different hosts; they must agree")]
    Disagreement,
    /// A dot segment that only shows after decoding, or behind path parameters.
    #[error("dot segment hidden by %2E, %2F, %5C or \";\"; send the path it leads to")]
    HiddenDotSegment,
    /// The host is neither a name of letters, digits, "-", "_" and ".", nor an IP address.
    #[error("invalid host; expected a name or IP address, with an optional port")]
    Host,
    /// Neither Host field nor authority, or an HTTP/1.1 request without Host field.
    #[error("no host; expected exactly one Host field")]
    MissingHost,
    /// %00.
    #[error("%00 in the path; no resource here has such a name")]
    NullByte,
    /// The path does not begin with a slash.
    #[error("invalid path; expected one that begins with \"/\"")]
    Path,
    /// "%" without two hexadecimal digits after it.
    #[error("\"%\" without two hexadecimal digits in the path; write it as %25")]
    PercentTriplet,
    /// The port is not a number from 1 to 65535.
    #[error("invalid port; expected a number from 1 to 65535")]
    Port,
    /// The request target has a scheme that is not served.
    #[error("invalid scheme; expected http or https")]
    Scheme,
    /// More than one Host field.
    #[error("more than one Host field; expected exactly one")]
    SeveralHosts,
    /// Credentials before the host.
    #[error("user information before the host; send the host alone")]
    UserInformation,
}

/// The target of a request with this request target (or HTTP/2 pseudo-fields), fields and version.
///
/// `uri` cannot tell two things that the caller has to check: whether its scheme is that of the connection, and whether
/// the request target had a fragment, which the parser has cut off.
pub fn target(uri: &Uri, headers: &HeaderMap, version: Version) -> Result<Target, BadTarget> {
    let authority = authority(uri, headers, version)?;
    let path_and_query = path_and_query(uri)?;
    Ok(Target { host: authority.host.into_text(), port: authority.port, path_and_query })
}

fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap, version: Version) -> Result<Authority<'a>, BadTarget> {
    let default_port = match uri.scheme_str() {
        None => None,
        Some("http") => Some(80),
        Some("https") => Some(443),
        Some(_) => return Err(BadTarget::Scheme),
    };
    let mut lines = headers.get_all(HOST).iter();
    let field = lines.next().map(|line| Authority::parse(line.as_bytes())).transpose()?;
    // "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host
    // header field and to any request message that contains more than one Host header field line or a Host header field
    // with an invalid field value." (RFC 9112 §3.2)
    if lines.next().is_some() {
        return Err(BadTarget::SeveralHosts);
    }
    if field.is_none() && version == Version::HTTP_11 {
        return Err(BadTarget::MissingHost);
    }
    let stated = uri.authority().map(|authority| Authority::parse(authority.as_str().as_bytes())).transpose()?;
    match (stated, field) {
        // RFC 9112 §3.2.2 lets the request target win. Whoever sends two different hosts hopes that two readers
        // disagree.
        (Some(stated), Some(field)) if !stated.agrees_with(&field, default_port) => Err(BadTarget::Disagreement),
        (Some(authority), _) | (None, Some(authority)) => Ok(authority),
        (None, None) => Err(BadTarget::MissingHost),
    }
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2).
struct Authority<'a> {
    host: Host<'a>,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, BadTarget> {
        if text.contains(&b'@') {
            return Err(BadTarget::UserInformation);
        }
        let text = std::str::from_utf8(text).map_err(|_| BadTarget::Host)?;
        let (host, port) = match text.strip_prefix('[') {
            Some(literal) => {
                let (address, port) = literal.split_once(']').ok_or(BadTarget::Host)?;
                (Host::Address(address.parse().map_err(|_| BadTarget::Host)?), port)
            }
            None => {
                let (name, port) = text.split_at(text.bytes().position(|byte| byte == b':').unwrap_or(text.len()));
                (Host::name(name)?, port)
            }
        };
        Ok(Self { host, port: parse_port(port)? })
    }

    fn agrees_with(&self, other: &Self, default_port: Option<u16>) -> bool {
        self.host.agrees_with(&other.host) && self.port.or(default_port) == other.port.or(default_port)
    }
}

enum Host<'a> {
    Address(Ipv6Addr),
    Name(&'a str),
}

impl<'a> Host<'a> {
    fn name(text: &'a str) -> Result<Self, BadTarget> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let mut label_bytes = 0;
        let valid = name.len() <= NAME_BYTES_MAX
            && name.bytes().all(|byte| {
                let is_label_byte = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
                let is_end = byte == b'.' && label_bytes > 0;
                label_bytes = if is_label_byte { label_bytes + 1 } else { 0 };
                is_end || (is_label_byte && label_bytes <= LABEL_BYTES_MAX)
            });
        if valid && label_bytes > 0 { Ok(Self::Name(name)) } else { Err(BadTarget::Host) }
    }

    fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Address(this), Self::Address(other)) => this == other,
            (Self::Name(this), Self::Name(other)) => this.eq_ignore_ascii_case(other),
            (Self::Address(_), Self::Name(_)) | (Self::Name(_), Self::Address(_)) => false,
        }
    }

    fn into_text(self) -> Box<str> {
        match self {
            Self::Address(address) => address.to_string().into(),
            Self::Name(name) => name.to_ascii_lowercase().into(),
        }
    }
}

/// `[ ":" port ]`, where an empty port is as good as none (RFC 9110 §4.2.1).
fn parse_port(text: &str) -> Result<Option<u16>, BadTarget> {
    let digits = match text.strip_prefix(':') {
        Some(digits) => digits,
        None if text.is_empty() => return Ok(None),
        None => return Err(BadTarget::Host),
    };
    if digits.is_empty() {
        return Ok(None);
    }
    let port = digits
        .bytes()
        .take(PORT_DIGITS_MAX + 1)
        .try_fold(0, |port: u32, byte| byte.is_ascii_digit().then(|| port * 10 + u32::from(byte - b'0')));
    let port = port.filter(|_| digits.len() <= PORT_DIGITS_MAX).and_then(|port| u16::try_from(port).ok());
    port.filter(|&port| port != 0).map(Some).ok_or(BadTarget::Port)
}

fn path_and_query(uri: &Uri) -> Result<Box<str>, BadTarget> {
    let written = uri.path_and_query().ok_or(BadTarget::Path)?.as_str();
    let (path, query) = written.split_at(written.bytes().position(|byte| byte == b'?').unwrap_or(written.len()));
    // The query belongs to the resource; nobody else can know which of its spellings are equivalent.
    if !query.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(BadTarget::Byte);
    }
    match path {
        // "an empty path component is equivalent to an absolute path of "/"" (RFC 9110 §4.2.3)
        "" => Ok(["/", query].concat().into()),
        "*" => Err(BadTarget::Asterisk),
        path if !path.starts_with('/') => Err(BadTarget::Path),
        path if is_canonical(path) => Ok(written.into()),
        path => canonical(path, query),
    }
}

/// The common case: nothing that needs a second look. A segment that begins with a dot does, and a percent sign.
fn is_canonical(path: &str) -> bool {
    let mut previous = 0;
    path.bytes().all(|byte| {
        let dotted = previous == b'/' && byte == b'.';
        previous = byte;
        !dotted && is_path_byte(byte)
    })
}

/// Percent-encoding and dot segments normalized (RFC 3986 §6.2.2.2, §6.2.2.3).
fn canonical(path: &str, query: &str) -> Result<Box<str>, BadTarget> {
    let mut canonical = String::with_capacity(path.len() + query.len());
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    canonical.truncate(canonical.rfind('/').unwrap_or(0));
                }
                if is_last {
                    canonical.push('/');
                }
            }
            segment => {
                canonical.push('/');
                push_segment(&mut canonical, segment)?;
            }
        }
    }
    canonical.push_str(query);
    Ok(canonical.into())
}

fn push_segment(canonical: &mut String, segment: &str) -> Result<(), BadTarget> {
    // Dots since the segment, or a part of it that some server takes for a segment, began; nothing but dots if `Some`.
    let mut dots = Some(0);
    for decoded in decoded(segment.as_bytes()) {
        let (byte, was_encoded) = decoded?;
        let ends_part = matches!(byte, b'/' | b'\\' | b';');
        if ends_part && matches!(dots, Some(1 | 2)) {
            return Err(BadTarget::HiddenDotSegment);
        }
        dots = match byte {
            b'/' | b'\\' => Some(0),
            b'.' => dots.map(|dots: u32| dots.saturating_add(1)),
            _ => None,
        };
        match byte {
            0 => return Err(BadTarget::NullByte),
            b'\\' if !was_encoded => return Err(BadTarget::Backslash),
            _ if !was_encoded && !byte.is_ascii_graphic() => return Err(BadTarget::Byte),
            // "decoding any percent-encoded octet that corresponds to an unreserved character"
            _ if is_unreserved(byte) || (!was_encoded && is_path_byte(byte)) => canonical.push(char::from(byte)),
            _ => {
                // "the hexadecimal digits within a percent-encoding triplet […] should be normalized to use uppercase
                // letters". Bytes that no path may hold bare are encoded, as the user agent should have done.
                canonical.push('%');
                canonical.extend([byte >> 4, byte & 15].map(|digit| char::from(HEXADECIMAL[usize::from(digit)])));
            }
        }
    }
    if matches!(dots, Some(1 | 2)) { Err(BadTarget::HiddenDotSegment) } else { Ok(()) }
}

/// The bytes of a segment, and whether each was percent-encoded.
fn decoded(segment: &[u8]) -> impl Iterator<Item = Result<(u8, bool), BadTarget>> {
    let mut rest = segment;
    std::iter::from_fn(move || {
        let (&byte, after) = rest.split_first()?;
        if byte != b'%' {
            rest = after;
            return Some(Ok((byte, false)));
        }
        let Some(([high, low], after)) = after.split_first_chunk() else {
            rest = &[];
            return Some(Err(BadTarget::PercentTriplet));
        };
        rest = after;
        Some(match (hexadecimal_value(*high), hexadecimal_value(*low)) {
            (Some(high), Some(low)) => Ok((high << 4 | low, true)),
            _ => Err(BadTarget::PercentTriplet),
        })
    })
}

fn hexadecimal_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// unreserved of RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// pchar of RFC 3986 §3.3 but the percent sign, and the slash.
fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
        )
}

/// Digits of the largest port.
const PORT_DIGITS_MAX: usize = 5;

/// Longest domain name in text form (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// Longest label of a domain name (RFC 1035 §2.3.4).
const LABEL_BYTES_MAX: usize = 63;

const HEXADECIMAL: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests;
