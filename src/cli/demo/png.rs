//! A small PNG file made at start, so that the demo serves a real binary image without shipping one.

/// A square picture of crossing waves, `side` pixels wide and high, in 8-bit RGB without compression.
pub(super) fn waves(side: u16) -> Vec<u8> {
    let mut file = SIGNATURE.to_vec();
    let side_bytes = u32::from(side).to_be_bytes();
    let header = [&side_bytes[..], &side_bytes[..], &[BITS_PER_SAMPLE, TRUE_COLOR, 0, 0, 0]].concat();
    append_chunk(&mut file, b"IHDR", &header);
    append_chunk(&mut file, b"IDAT", &zlib_stored(&scan_lines(side)));
    append_chunk(&mut file, b"IEND", &[]);
    file
}

/// Each line begins with the number of its filter, which is none.
fn scan_lines(side: u16) -> Vec<u8> {
    let angle = |position: u16, turns: f32| f32::from(position) / f32::from(side) * std::f32::consts::TAU * turns;
    let sample = |low: f32, high: f32, share: f32| (low + (high - low) * share) as u8;
    let mut lines = Vec::with_capacity(usize::from(side) * (1 + 3 * usize::from(side)));
    for y in 0..side {
        lines.push(0);
        for x in 0..side {
            let wave = (angle(x, 1.5) + angle(y, 1.0).sin()).sin() * angle(y, 2.0).cos() / 2.0 + 0.5;
            lines.extend([sample(12.0, 255.0, wave), sample(84.0, 186.0, wave), sample(96.0, 73.0, wave)]);
        }
    }
    lines
}

/// RFC 1950 around stored blocks of RFC 1951.
fn zlib_stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = data.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("chunks are no longer than a u16 can say");
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler32(data).to_be_bytes());
    stream
}

fn append_chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).expect("the picture is small");
    file.extend(length.to_be_bytes());
    let checked_from = file.len();
    file.extend(kind);
    file.extend(data);
    let check = crc32(&file[checked_from..]);
    file.extend(check.to_be_bytes());
}

fn adler32(data: &[u8]) -> u32 {
    let (low, high) = data.iter().fold((1, 0), |(low, high), &byte| {
        let low = (low + u32::from(byte)) % ADLER_MODULUS;
        (low, (high + low) % ADLER_MODULUS)
    });
    high << 16 | low
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |check, &byte| {
        (0..8).fold(check ^ u32::from(byte), |check, _| (check >> 1) ^ (CRC_POLYNOMIAL * (check & 1)))
    })
}

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
const BITS_PER_SAMPLE: u8 = 8;
const TRUE_COLOR: u8 = 2;
const ADLER_MODULUS: u32 = 65_521;
const CRC_POLYNOMIAL: u32 = 0xedb8_8320;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_agree_with_known_values() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn the_file_has_the_stated_size_and_ends_properly() {
        let file = waves(160);
        assert!(file.starts_with(&SIGNATURE));
        assert_eq!(file[16..24], [0, 0, 0, 160, 0, 0, 0, 160]);
        assert!(file.ends_with(b"\0\0\0\0IEND\xae\x42\x60\x82"));
        assert!(file.len() > 160 * 160 * 3);
    }
}
