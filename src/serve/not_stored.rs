//! Why a response is not stored, whichever part of this node says so.

use crate::semantics::storable::NotStorable;

/// Why a response is not stored. A failure is shared with those who wait for it all the same: a crowd must not repeat
/// it one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotStored {
    /// Its end is that of the connection, so it is never proven complete.
    CloseDelimited,
    /// It might be, but for want of memory.
    NoRoom,
    /// The request said `no-store`, or has fields outside the key that an origin may object to.
    Request,
    /// RFC 9111 §3, or the site's policy.
    Rule(NotStorable),
    /// Its length is beyond the bound of one stored body.
    TooLarge,
    /// It has more tags than are kept, so that purges would miss it.
    TooManyTags,
    /// It is not what the site expects for its path.
    Unexpected,
}

impl NotStored {
    /// Whether other requests for the same key have to expect the same.
    pub(super) fn speaks_of_the_resource(self) -> bool {
        match self {
            Self::Rule(reason) => !matches!(
                reason,
                NotStorable::Authorization
                    | NotStorable::Method
                    | NotStorable::OneRequest
                    | NotStorable::PartialContent
            ),
            Self::NoRoom | Self::Request | Self::Unexpected => false,
            Self::CloseDelimited | Self::TooLarge | Self::TooManyTags => true,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::CloseDelimited => "close-delimited",
            Self::NoRoom => "no-room",
            Self::Request => "request",
            Self::Rule(reason) => reason.as_str(),
            Self::TooLarge => "too-large",
            Self::TooManyTags => "too-many-tags",
            Self::Unexpected => "unexpected",
        }
    }
}
