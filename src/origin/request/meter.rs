//! How many bytes came after the head of a response: the HTTP library reads no further than the head says, and tells
//! nobody of what follows.

use memchr::memchr;

/// Counts what comes over a connection after the final head of one response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    place: Place,
    /// The beginning of the line that is being read; of a status line, up to the first digit of the status.
    line: [u8; STATUS_AT + 1],
    line_length: usize,
    content: u64,
    /// Interim heads before the final one.
    interims: u32,
    /// Which response it is of those that came over the connection.
    number: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    StatusLine,
    Fields {
        is_interim: bool,
    },
    Content,
}

impl Meter {
    /// Begins anew: what comes from here on is the response to another request.
    pub fn begin(&mut self) {
        *self = Self { number: self.number + 1, ..Self::default() };
    }

    /// Takes the next bytes. Only those of heads are looked at.
    pub fn take(&mut self, mut bytes: &[u8]) {
        while self.place != Place::Content {
            let Some(end) = memchr(b'\n', bytes) else {
                self.go_on_with(bytes);
                return;
            };
            let (line, rest) = bytes.split_at(end);
            self.go_on_with(line);
            self.end_line();
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.content += bytes.len() as u64;
    }

    /// Bytes after the final head; those of the transfer coding are among them.
    pub fn content(&self) -> u64 {
        self.content
    }

    /// Interim responses (RFC 9110 §15.2) that have come so far.
    pub fn interims(&self) -> u32 {
        self.interims
    }

    /// Which response is counted: another number is another one.
    pub fn number(&self) -> u64 {
        self.number
    }

    fn go_on_with(&mut self, bytes: &[u8]) {
        if let Some(room) = self.line.get_mut(self.line_length..) {
            let length = room.len().min(bytes.len());
            room[..length].copy_from_slice(&bytes[..length]);
        }
        self.line_length = self.line_length.saturating_add(bytes.len());
    }

    /// RFC 9112 §2.2: "a recipient MAY recognize a single LF as a line terminator and ignore any preceding CR", as the
    /// library does.
    fn end_line(&mut self) {
        let is_empty = self.line_length == 0 || (self.line_length == 1 && self.line.starts_with(b"\r"));
        self.interims += u32::from(is_empty && self.place == Place::Fields { is_interim: true });
        self.place = match self.place {
            Place::StatusLine if is_empty => Place::StatusLine,
            Place::StatusLine => Place::Fields { is_interim: self.line.get(STATUS_AT) == Some(&b'1') },
            Place::Fields { is_interim: true } if is_empty => Place::StatusLine,
            Place::Fields { is_interim: false } if is_empty => Place::Content,
            place @ (Place::Fields { .. } | Place::Content) => place,
        };
        (self.line, self.line_length) = Default::default();
    }
}

/// Where the status begins in "HTTP/1.1 200 OK".
const STATUS_AT: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    /// However it is cut in two, a response has so many bytes after its head.
    #[track_caller]
    fn check(response: &str, expected: u64) {
        for cut in 0..=response.len() {
            let (first, second) = response.split_at(cut);
            let mut meter = Meter::default();
            meter.take(first.as_bytes());
            meter.take(second.as_bytes());
            assert_eq!(meter.content(), expected, "{first:?} {second:?}");
        }
        let mut meter = Meter::default();
        response.bytes().for_each(|byte| meter.take(&[byte]));
        assert_eq!(meter.content(), expected, "{response:?} byte by byte");
    }

    #[test]
    fn what_follows_the_empty_line_is_counted() {
        check("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody", 4);
        check("HTTP/1.1 204 No Content\r\n\r\n", 0);
        check("HTTP/1.1 200 OK\r\n\r\n\r\n\r\n", 4);
        check("HTTP/1.1 200 OK\r\nx: y\r\n", 0);
    }

    #[test]
    fn interim_heads_are_no_content() {
        let mut meter = Meter::default();
        meter.take(
            b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        );
        assert_eq!(meter.interims(), 2);
        check("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nx: y\r\n\r\nbody", 4);
        check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\r\n1", 1);
    }

    #[test]
    fn lines_may_end_without_cr_and_empty_ones_may_come_before_the_head() {
        check("HTTP/1.1 200 OK\ncontent-length: 4\n\nbody", 4);
        check("\r\n\r\nHTTP/1.1 200 OK\r\nx: y\n\r\nbody", 4);
    }

    #[test]
    fn the_next_response_is_counted_anew() {
        let mut meter = Meter::default();
        meter.take(b"HTTP/1.1 200 OK\r\n\r\nbody and more");
        meter.begin();
        assert_eq!((meter.content(), meter.number()), (0, 1));
        meter.take(b"HTTP/1.1 200 OK\r\n\r\nbody");
        assert_eq!(meter.content(), 4);
    }
}
