//! A site's own words for its visitors when no origin has any.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// A page in place of the node's own plain text.
#[derive(Clone, Debug)]
pub struct ErrorPage {
    /// By the extension of its file.
    pub media_type: &'static str,
    /// As it is in the file.
    pub body: Bytes,
}

impl ErrorPage {
    /// Reads a page.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn load(path: &Path) -> Result<Self, ErrorPageFault> {
        let fault = |cause| ErrorPageFault { path: path.to_owned(), cause };
        let media_type = media_type(path).ok_or_else(|| fault(Cause::Extension))?;
        let mut body = Vec::new();
        let file = File::open(path).map_err(|error| fault(Cause::Unreadable(error)))?;
        file.take(PAGE_BYTES_MAX + 1).read_to_end(&mut body).map_err(|error| fault(Cause::Unreadable(error)))?;
        if body.len() as u64 > PAGE_BYTES_MAX {
            return Err(fault(Cause::TooLarge));
        }
        let text = String::from_utf8(body).map_err(|_| fault(Cause::NotText))?;
        Ok(Self { media_type, body: Bytes::from(text) })
    }
}

fn media_type(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?;
    MEDIA_TYPES.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known)).map(|(_, media_type)| *media_type)
}

/// Why a file is no page.
#[derive(Debug, thiserror::Error)]
#[error("error page {}: {cause}", path.display())]
pub struct ErrorPageFault {
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("its name does not end in .html, .htm, .txt or .json")]
    Extension,
    #[error("it is not UTF-8")]
    NotText,
    #[error("it is longer than 256 KiB")]
    TooLarge,
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
}

/// A page that has to get through in an outage is short; each site keeps its own in memory, beside the cache's bound.
const PAGE_BYTES_MAX: u64 = 256 * 1024;

const MEDIA_TYPES: [(&str, &str); 4] = [
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("json", "application/json"),
    ("txt", "text/plain; charset=utf-8"),
];
