//! The strict gate: exactly one target, in one canonical form (RFC 9110 §7.1, RFC 9112 §3.2, RFC 3986 §6.2.2).
//!
//! What the gate lets through is what the key is made of and what origins get, byte for byte. It refuses whatever an
//! origin could understand in another way than the cache does; only what means the same to everyone is normalized.

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::num::NonZeroU16;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Uri, Version};

use super::{Target, default_port};

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

/// The target of a request that came under `scheme` (`http` or `https`) with this request target (or HTTP/2 pseudo-fields),
/// fields and version.
///
/// `uri` cannot tell two things that the caller has to check: whether its scheme, if it has one, is this, and whether the
/// request target had a fragment, which the parser has cut off.
pub fn target(scheme: &str, uri: &Uri, headers: &HeaderMap, version: Version) -> Result<Target, BadTarget> {
    let authority = authority(uri, headers, version)?;
    let path_and_query = path_and_query(uri)?;
    Ok(Target::new(scheme, &authority.host.into_text(), authority.port, &path_and_query))
}

fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap, version: Version) -> Result<Authority<'a>, BadTarget> {
    let default_port = match uri.scheme_str() {
        None => None,
        Some(scheme @ ("http" | "https")) => Some(default_port(scheme)),
        Some(_) => return Err(BadTarget::Scheme),
    };
    let mut lines = headers.get_all(HOST).iter();
    let field = lines.next().map(Authority::of_field).transpose()?;
    // "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host
    // header field and to any request message that contains more than one Host header field line or a Host header field
    // with an invalid field value." (RFC 9112 §3.2)
    if lines.next().is_some() {
        return Err(BadTarget::SeveralHosts);
    }
    if field.is_none() && version == Version::HTTP_11 {
        return Err(BadTarget::MissingHost);
    }
    let stated = uri.authority().map(|authority| Authority::parse(authority.as_str())).transpose()?;
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
    /// That of a Host field. Visible ASCII is sooner told than text, and nearly every one is.
    fn of_field(line: &'a HeaderValue) -> Result<Self, BadTarget> {
        let text = line.to_str().ok().or_else(|| std::str::from_utf8(line.as_bytes()).ok());
        match text {
            Some(text) => Self::parse(text),
            None if line.as_bytes().contains(&b'@') => Err(BadTarget::UserInformation),
            None => Err(BadTarget::Host),
        }
    }

    fn parse(text: &'a str) -> Result<Self, BadTarget> {
        let parsed = match text.strip_prefix('[') {
            Some(literal) => Self::with_address(literal),
            None => Self::with_name(text),
        };
        // Nothing that is valid has the sign in it, wherever it is.
        parsed.map_err(|fault| if text.contains('@') { BadTarget::UserInformation } else { fault })
    }

    fn with_address(text: &'a str) -> Result<Self, BadTarget> {
        let (address, port) = text.split_once(']').ok_or(BadTarget::Host)?;
        let host = Host::Address(address.parse().map_err(|_| BadTarget::Host)?);
        Ok(Self { host, port: parse_port(port)? })
    }

    fn with_name(text: &'a str) -> Result<Self, BadTarget> {
        let (host, port) = Host::name(text)?;
        Ok(Self { host, port: parse_port(port)? })
    }

    fn agrees_with(&self, other: &Self, default_port: Option<u16>) -> bool {
        self.host.agrees_with(&other.host) && self.port.or(default_port) == other.port.or(default_port)
    }
}

enum Host<'a> {
    Address(Ipv6Addr),
    Name { name: &'a str, has_capitals: bool },
}

impl<'a> Host<'a> {
    /// The name that `text` begins with, and what is behind it.
    fn name(text: &'a str) -> Result<(Self, &'a str), BadTarget> {
        let (mut length, mut label_bytes, mut has_capitals) = (0, 0, false);
        for byte in text.bytes() {
            match NAME_BYTES[usize::from(byte)] {
                NameByte::Label => label_bytes += 1,
                NameByte::Capital => (label_bytes, has_capitals) = (label_bytes + 1, true),
                NameByte::Dot if (1..=LABEL_BYTES_MAX).contains(&label_bytes) => label_bytes = 0,
                NameByte::Dot => return Err(BadTarget::Host),
                NameByte::Other => break,
            }
            length += 1;
        }
        let (name, rest) = text.split_at(length);
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || label_bytes > LABEL_BYTES_MAX {
            return Err(BadTarget::Host);
        }
        Ok((Self::Name { name, has_capitals }, rest))
    }

    fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Address(this), Self::Address(other)) => this == other,
            (Self::Name { name: this, .. }, Self::Name { name: other, .. }) => this.eq_ignore_ascii_case(other),
            (Self::Address(_), Self::Name { .. }) | (Self::Name { .. }, Self::Address(_)) => false,
        }
    }

    fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Address(address) => address.to_string().into(),
            Self::Name { name, has_capitals: false } => name.into(),
            Self::Name { name, has_capitals: true } => name.to_ascii_lowercase().into(),
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
    // "+80" is a number as well, but no port.
    if digits.len() > PORT_DIGITS_MAX || digits.starts_with('+') {
        return Err(BadTarget::Port);
    }
    digits.parse::<NonZeroU16>().map(|port| Some(port.get())).map_err(|_| BadTarget::Port)
}

fn path_and_query(uri: &Uri) -> Result<Cow<'_, str>, BadTarget> {
    let written = uri.path_and_query().ok_or(BadTarget::Path)?.as_str();
    let plain = plain_length(written.as_bytes());
    let rest = written.as_bytes()[plain..].iter();
    let (path, query) = written.split_at(plain + rest.take_while(|&&byte| byte != b'?').count());
    // The query belongs to the resource; nobody else can know which of its spellings are equivalent.
    if !query.bytes().fold(true, |graphic, byte| graphic & byte.is_ascii_graphic()) {
        return Err(BadTarget::Byte);
    }
    match path {
        // "an empty path component is equivalent to an absolute path of "/"" (RFC 9110 §4.2.3)
        "" => Ok(["/", query].concat().into()),
        "*" => Err(BadTarget::Asterisk),
        path if !path.starts_with('/') => Err(BadTarget::Path),
        // The common case.
        path if path.len() == plain => Ok(written.into()),
        path => canonical(path, query).map(Cow::Owned),
    }
}

/// How much of `text` is path that needs no second look. A segment that begins with a dot does, and a percent sign.
fn plain_length(text: &[u8]) -> usize {
    let mut length = 0;
    while let Some(&byte) = text.get(length) {
        let is_plain = PLAIN[usize::from(byte)] || (byte == b'.' && length > 0 && text[length - 1] != b'/');
        if !is_plain {
            break;
        }
        length += 1;
    }
    length
}

/// Percent-encoding and dot segments normalized (RFC 3986 §6.2.2.2, §6.2.2.3).
fn canonical(path: &str, query: &str) -> Result<String, BadTarget> {
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
    Ok(canonical)
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
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// pchar of RFC 3986 §3.3 but the percent sign, and the slash.
const fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
        )
}

/// What a byte is in the authority of a name.
#[derive(Clone, Copy)]
enum NameByte {
    Label,
    /// Of a label as well, but not in its canonical form.
    Capital,
    Dot,
    Other,
}

/// In a table, because every request's host is read.
const NAME_BYTES: [NameByte; 256] = {
    let mut bytes = [NameByte::Other; 256];
    let mut byte: u8 = 0;
    while byte.is_ascii() {
        bytes[byte as usize] = match byte {
            b'.' => NameByte::Dot,
            b'A'..=b'Z' => NameByte::Capital,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => NameByte::Label,
            _ => NameByte::Other,
        };
        byte += 1;
    }
    bytes
};

/// Whether a byte needs no second look in a path, wherever it is.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte: u8 = 0;
    while byte.is_ascii() {
        plain[byte as usize] = is_path_byte(byte) && byte != b'.';
        byte += 1;
    }
    plain
};

/// Digits of the largest port.
const PORT_DIGITS_MAX: usize = 5;

/// Longest domain name in text form (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// Longest label of a domain name (RFC 1035 §2.3.4).
const LABEL_BYTES_MAX: usize = 63;

const HEXADECIMAL: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests;
