//! The HTTP versions a client connection may speak.

/// What a client connection speaks, known before its first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1 (RFC 9112).
    Http1,
    /// HTTP/2 (RFC 9113), over TLS only.
    Http2,
}

impl Protocol {
    /// What ALPN settled (RFC 7301); a client that offers nothing speaks HTTP/1.1.
    pub fn from_alpn(settled: Option<&[u8]>) -> Self {
        match settled {
            Some(b"h2") => Self::Http2,
            _ => Self::Http1,
        }
    }

    /// `h1` or `h2`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "h1",
            Self::Http2 => "h2",
        }
    }
}
