//! Encoders: a stored body in, the same body in a content coding out.
//!
//! What they write depends on the body alone, not on the machine: a strong entity tag promises the same bytes from every
//! node. The levels are where each encoder stops gaining: on our own sources and pages, brotli 5, zstd 9 and gzip 6 leave
//! 24, 24 and 26 % of the bytes at 43, 65 and 69 MB/s; the next level of each costs a fifth to a half more time for
//! less than one percent of the bytes, gzip 9 as much again.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::chunks::{GrowingBody, StoredBody};
use crate::semantics::content_coding::ContentCoding;

/// `body` in `coding`, if that is no longer than `length_max` bytes.
///
/// # Errors
/// [`NotEncoded`]; what was written so far is gone.
pub(super) fn encode(body: &StoredBody, coding: ContentCoding, length_max: u64) -> Result<GrowingBody, NotEncoded> {
    let mut sink = Sink { body: GrowingBody::new(None), length_max, is_full: false };
    let written = match coding {
        ContentCoding::Brotli => brotli(body, &mut sink),
        ContentCoding::Gzip => gzip(body, &mut sink),
        ContentCoding::Zstd => zstd(body, &mut sink),
    };
    match written {
        Ok(()) => Ok(sink.body),
        Err(_) if sink.is_full => Err(NotEncoded::TooLong),
        Err(_) => Err(NotEncoded::Failed),
    }
}

/// Why there is no coded body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotEncoded {
    /// The encoder gave up, which none of them has reason to.
    Failed,
    /// It became too long.
    TooLong,
}

fn brotli(body: &StoredBody, sink: &mut Sink) -> io::Result<()> {
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        lgwin: BROTLI_WINDOW_LOG,
        size_hint: usize::try_from(body.length()).unwrap_or(usize::MAX),
        ..Default::default()
    };
    brotli::BrotliCompress(&mut Source { body, offset: 0 }, sink, &parameters)?;
    Ok(())
}

fn gzip(body: &StoredBody, sink: &mut Sink) -> io::Result<()> {
    let mut encoder = GzEncoder::new(sink, Compression::new(GZIP_LEVEL));
    io::copy(&mut Source { body, offset: 0 }, &mut encoder)?;
    encoder.finish()?;
    Ok(())
}

fn zstd(body: &StoredBody, sink: &mut Sink) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(sink, ZSTD_LEVEL)?;
    encoder.set_pledged_src_size(Some(body.length()))?;
    encoder.window_log(ZSTD_WINDOW_LOG)?;
    io::copy(&mut Source { body, offset: 0 }, &mut encoder)?;
    encoder.finish()?;
    Ok(())
}

/// Reads a stored body.
struct Source<'a> {
    body: &'a StoredBody,
    offset: u64,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.body.bytes(self.offset);
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        self.offset += length as u64;
        Ok(length)
    }
}

/// Takes a coded body up to a length.
struct Sink {
    body: GrowingBody,
    length_max: u64,
    is_full: bool,
}

impl Write for Sink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.is_full |= self.body.length() + data.len() as u64 > self.length_max;
        if self.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.body.append(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// 6 leaves 0.6 % less and takes a quarter longer; 7 and more take five times as long for short bodies.
const BROTLI_QUALITY: i32 = 5;

/// The usual window: 4 MiB, which is also what the encoder needs of memory, and as much again for its tables.
const BROTLI_WINDOW_LOG: i32 = 22;

/// 9 takes twice as long and on some texts leaves more.
const GZIP_LEVEL: u32 = 6;

/// 12 leaves 0.4 % less and takes half as long again.
const ZSTD_LEVEL: i32 = 9;

/// 4 MiB: every decoder has to take a window of 8 MiB (RFC 9659 §3).
const ZSTD_WINDOW_LOG: u32 = 22;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::ledger::Ledger;

    /// When a recipe yields other bytes, an entity tag made of its old number would promise what is not so.
    #[test]
    fn a_recipe_is_known_by_its_bytes() {
        let found = ContentCoding::ALL.map(|coding| {
            let coded = coded(&text(400_000), coding);
            (coding.as_str(), coded.len(), fnv(&coded))
        });
        let known = [
            ("br", 113_953, 465_281_096_441_118_986),
            ("gzip", 113_427, 3_585_202_858_111_671_663),
            ("zstd", 108_983, 8_118_814_808_491_120_852),
        ];
        assert_eq!(found, known, "raise the number of the recipe in semantics/coded_tag.rs as well");
    }

    #[test]
    fn what_is_decoded_is_what_was_stored() {
        for coding in ContentCoding::ALL {
            for length in [0, 1, 1000, 65_536, 65_537, 400_000] {
                let text = text(length);
                assert!(decoded(&coded(&text, coding), coding) == text, "{coding:?} of {length} bytes");
            }
        }
    }

    #[test]
    fn an_encoder_stops_where_the_result_is_too_long() {
        let text = stored(&text(400_000));
        for coding in ContentCoding::ALL {
            let whole = encode(&text, coding, u64::MAX).expect("there is room").length();
            assert!(encode(&text, coding, whole).is_ok_and(|coded| coded.length() == whole), "{coding:?}");
            assert_eq!(encode(&text, coding, whole - 1).err(), Some(NotEncoded::TooLong), "{coding:?}");
        }
    }

    fn coded(text: &[u8], coding: ContentCoding) -> Vec<u8> {
        let mut coded = encode(&stored(text), coding, u64::MAX).expect("there is room");
        let body = coded.seal(Ledger::new(1 << 30).reserve(1 << 20).expect("fits")).expect("nothing forgotten");
        let mut bytes = Vec::new();
        Source { body: &body, offset: 0 }.read_to_end(&mut bytes).expect("a stored body can be read");
        bytes
    }

    fn decoded(coded: &[u8], coding: ContentCoding) -> Vec<u8> {
        let mut text = Vec::new();
        let read = match coding {
            ContentCoding::Brotli => brotli::Decompressor::new(coded, 4096).read_to_end(&mut text),
            ContentCoding::Gzip => flate2::read::GzDecoder::new(coded).read_to_end(&mut text),
            ContentCoding::Zstd => zstd::Decoder::new(coded).and_then(|mut decoder| decoder.read_to_end(&mut text)),
        };
        read.expect("it decodes");
        text
    }

    fn stored(text: &[u8]) -> StoredBody {
        let mut body = GrowingBody::new(Some(text.len() as u64));
        body.append(text);
        let paid = Ledger::new(1 << 30).reserve(text.len() as u64).expect("fits");
        body.seal(paid).expect("nothing forgotten")
    }

    /// Words in a disorder that is the same every time.
    fn text(length: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut text = Vec::new();
        while text.len() < length {
            let word = fnv(&random.u64(..2000).to_be_bytes());
            text.extend_from_slice(&format!("{word:x} ").as_bytes()[..5 + (word % 9) as usize]);
        }
        text.truncate(length);
        text
    }

    /// FNV-1a.
    fn fnv(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}
