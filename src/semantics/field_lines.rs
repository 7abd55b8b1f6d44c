//! Field lines in few bytes, as they are kept with what is stored: names and values that many messages have are numbers,
//! and so are dates.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use self::known::{NAMES, VALUES, number_of_name, number_of_value};
use super::date::{IMF_FIXDATE_BYTES, PackedDate};

mod known;

/// The field lines of a message in one block, in the order of the map that they came from.
///
/// A map takes more than a hundred bytes for each line, and its values pin the buffer that they were read into. This takes
/// a few bytes beside the text, and the text is a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldLines<'a> {
    block: &'a [u8],
}

impl<'a> FieldLines<'a> {
    /// Those that [`FieldLines::write`] or [`FieldLines::write_names`] has written into `block`, which holds no more.
    pub fn read(block: &'a [u8]) -> Self {
        Self { block }
    }

    /// At most so many bytes are written for `headers`.
    pub fn bytes_max(headers: &HeaderMap) -> usize {
        let bytes =
            |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 2 * LENGTH_BYTES_MAX;
        headers.iter().map(bytes).sum()
    }

    /// Writes those of `headers` to the end of `block`.
    pub fn write(headers: &HeaderMap, block: &mut Vec<u8>) {
        for (name, value) in headers {
            push_name(block, name);
            push_value(block, value.as_bytes());
        }
    }

    /// Writes those of `names`, some of which have no value, to the end of `block`.
    pub(super) fn write_names<'b>(
        names: impl Iterator<Item = (&'b HeaderName, Option<Box<[u8]>>)>,
        block: &mut Vec<u8>,
    ) {
        for (name, value) in names {
            push_name(block, name);
            match value {
                Some(value) => push_value(block, &value),
                None => block.push(ABSENT),
            }
        }
    }

    /// Every name, and its value if it has one.
    pub(super) fn iter(self) -> impl Iterator<Item = (Cow<'static, HeaderName>, Option<Cow<'a, [u8]>>)> {
        self.lines().map(|line| (line.name.to_header_name(), line.value.text()))
    }

    /// The name of every line.
    pub fn names(self) -> impl Iterator<Item = Cow<'static, HeaderName>> {
        self.lines().map(|line| line.name.to_header_name())
    }

    /// The map of these lines, with room for `more` of them. All values that are no numbers share one allocation, which
    /// belongs to this map alone, so that processors that answer with the same response at once do not count its users
    /// together.
    pub fn to_headers(self, more: usize) -> HeaderMap {
        let (count, mut texts) = self.count_and_texts();
        let mut next_text =
            |length| HeaderValue::from_maybe_shared(texts.split_to(length)).expect("the text of a field value is one");
        let mut headers = HeaderMap::with_capacity(count + more);
        for Line { name, value } in self.lines() {
            let value = match value {
                Value::Absent => continue,
                Value::Date(_) => next_text(IMF_FIXDATE_BYTES),
                Value::Known(value) => value.clone(),
                Value::Text(text) => next_text(text.len()),
            };
            headers.append(name.to_header_name().into_owned(), value);
        }
        headers
    }

    /// How many lines there are, and the values of those that are no numbers, one behind the other. They are laid out on the
    /// stack first, so that they cost one allocation and not two.
    fn count_and_texts(self) -> (usize, Bytes) {
        let (mut stack, mut heap) = ([0; STACK_BYTES], Vec::new());
        let (mut count, mut length) = (0, 0);
        for line in self.lines() {
            count += 1;
            let date;
            let text = match line.value {
                Value::Absent | Value::Known(_) => continue,
                Value::Date(packed) => {
                    date = packed.text();
                    &date
                }
                Value::Text(text) => text,
            };
            match stack.get_mut(length..length + text.len()) {
                Some(room) if heap.is_empty() => room.copy_from_slice(text),
                _ => {
                    if heap.is_empty() {
                        heap.extend_from_slice(&stack[..length]);
                    }
                    heap.extend_from_slice(text);
                }
            }
            length += text.len();
        }
        (count, if heap.is_empty() { Bytes::from_owner(stack) } else { heap.into() })
    }

    /// The first line of this name.
    pub fn get(self, name: &HeaderName) -> Option<HeaderValue> {
        match self.all(name).next()? {
            Value::Known(value) => Some(value.clone()),
            value => HeaderValue::from_bytes(&value.text()?).ok(),
        }
    }

    /// The only line of this name; several lines of a field that is no list are as good as none.
    pub fn only(self, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none()).and_then(Value::text)
    }

    fn all(self, name: &HeaderName) -> impl Iterator<Item = Value<'a>> {
        self.lines().filter(move |line| line.name.is(name)).map(|line| line.value)
    }

    fn lines(self) -> Lines<'a> {
        Lines { rest: self.block }
    }
}

/// One line of a block.
struct Line<'a> {
    name: Name<'a>,
    value: Value<'a>,
}

enum Name<'a> {
    Known(&'static HeaderName),
    Text(&'a [u8]),
}

impl Name<'_> {
    fn is(&self, name: &HeaderName) -> bool {
        match self {
            Self::Known(known) => *known == name,
            Self::Text(text) => *text == name.as_str().as_bytes(),
        }
    }

    fn to_header_name(&self) -> Cow<'static, HeaderName> {
        match self {
            Self::Known(known) => Cow::Borrowed(known),
            Self::Text(text) => Cow::Owned(HeaderName::from_bytes(text).expect("the text of a field name is one")),
        }
    }
}

enum Value<'a> {
    /// Of a name that has none.
    Absent,
    Date(PackedDate),
    Known(&'static HeaderValue),
    Text(&'a [u8]),
}

impl<'a> Value<'a> {
    fn text(self) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Absent => None,
            Self::Date(date) => Some(date.text().to_vec().into()),
            Self::Known(value) => Some(value.as_bytes().into()),
            Self::Text(text) => Some(text.into()),
        }
    }
}

struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn bytes<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    /// The text that begins with `first`.
    fn text(&mut self, first: u8) -> Option<&'a [u8]> {
        let length = if first == LONG { u32::from_le_bytes(self.bytes()?) as usize } else { usize::from(first) };
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(text)
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let first = self.byte()?;
        let name = match first.checked_sub(KNOWN) {
            Some(number) => Name::Known(NAMES.get(usize::from(number))?),
            None => Name::Text(self.text(first)?),
        };
        let first = self.byte()?;
        let value = match first.checked_sub(KNOWN) {
            Some(number) => Value::Known(VALUES.get(usize::from(number))?),
            None if first == ABSENT => Value::Absent,
            None if first == DATE => Value::Date(PackedDate::from_bytes(self.bytes()?)),
            None => Value::Text(self.text(first)?),
        };
        Some(Line { name, value })
    }
}

fn push_name(block: &mut Vec<u8>, name: &HeaderName) {
    match number_of_name(name) {
        Some(number) => block.push(KNOWN + number),
        None => push_text(block, name.as_str().as_bytes()),
    }
}

fn push_value(block: &mut Vec<u8>, value: &[u8]) {
    if let Some(date) = PackedDate::of(value) {
        block.push(DATE);
        block.extend_from_slice(date.as_bytes());
        return;
    }
    match number_of_value(value) {
        Some(number) => block.push(KNOWN + number),
        None => push_text(block, value),
    }
}

fn push_text(block: &mut Vec<u8>, text: &[u8]) {
    match u8::try_from(text.len()) {
        Ok(length) if length < DATE => block.push(length),
        _ => {
            block.push(LONG);
            block.extend_from_slice(&u32::try_from(text.len()).expect("heads are bounded").to_le_bytes());
        }
    }
    block.extend_from_slice(text);
}

/// What the usual values have: two dates, an entity tag and one or two more. More cost an allocation more.
const STACK_BYTES: usize = 160;

/// From here on, the byte before a name or value is a number; below, it is the length of its text.
const KNOWN: u8 = 128;

/// The length is in the next four bytes.
const LONG: u8 = KNOWN - 1;

/// There is no value.
const ABSENT: u8 = KNOWN - 2;

/// The value is a date.
const DATE: u8 = KNOWN - 3;

/// Most bytes that the length of a text takes.
const LENGTH_BYTES_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;
    use crate::semantics::field::fields;

    #[test]
    fn what_is_kept_is_what_came() {
        check("nothing", &[], 0);
        check("a name and a value that are known", &[("vary", "Accept-Encoding")], 2);
        check("a value that is not", &[("etag", "\"abc\"")], 2 + 5);
        check("a name that is not", &[("x-own", "*")], 2 + 5);
        check("neither", &[("x-own", "abc")], 2 + 5 + 3);
        check("an empty value", &[("etag", "")], 2);
        check("a date", &[("date", "Sun, 06 Nov 1994 08:49:37 GMT")], 2 + 6);
        check("a name that is not known and a date", &[("x-own", "Mon, 06 Nov 1994 08:49:60 GMT")], 2 + 5 + 6);
        check(
            "several lines",
            &[("b", "2"), ("a", "1"), ("b", "é\t "), ("date", "then"), ("c", "")],
            4 + 7 + 3 + 6 + 3,
        );
    }

    #[test]
    fn long_texts_are_kept_whole() {
        for length in [124, 125, 126, 127, 128, 255, 256, 70_000] {
            let value = "v".repeat(length);
            let headers = fields(&[("etag", &value), ("date", "then")]);
            assert_eq!(FieldLines::read(&block(&headers)).to_headers(0), headers, "{length}");
            let mut headers = HeaderMap::new();
            let name = HeaderName::from_bytes("n".repeat(length.min(60_000)).as_bytes()).expect("it is a name");
            headers.append(name, HeaderValue::from_static("value"));
            assert_eq!(FieldLines::read(&block(&headers)).to_headers(0), headers, "{length}");
        }
    }

    #[test]
    fn all_known_names_and_values_have_a_number() {
        assert!(NAMES.len() <= 128 && VALUES.len() <= 128);
        for name in &NAMES {
            for value in &VALUES {
                let headers = HeaderMap::from_iter([(name.clone(), value.clone())]);
                let block = block(&headers);
                assert_eq!((block.len(), FieldLines::read(&block).to_headers(0)), (2, headers));
            }
        }
    }

    #[test]
    fn one_line_is_found_without_a_map() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let headers = [("etag", "\"1\""), ("vary", "a"), ("etag", "\"2\""), ("x-own", "x"), ("date", date)];
        let block = block(&fields(&headers));
        let lines = FieldLines::read(&block);
        let text = |value: Option<HeaderValue>| value.map(|value| value.to_str().unwrap_or_default().to_owned());
        let own = HeaderName::from_static("x-own");
        assert_eq!(text(lines.get(&header::ETAG)).as_deref(), Some("\"1\""));
        assert_eq!(lines.only(&header::ETAG), None);
        assert_eq!(lines.only(&header::VARY).as_deref(), Some(&b"a"[..]));
        assert_eq!(lines.only(&own).as_deref(), Some(&b"x"[..]));
        assert_eq!(text(lines.get(&header::DATE)).as_deref(), Some(date));
        assert_eq!(text(lines.get(&header::AGE)), None);
    }

    fn check(case: &str, lines: &[(&'static str, &str)], size: usize) {
        let headers = fields(lines);
        let block = block(&headers);
        let found = FieldLines::read(&block).to_headers(0);
        assert_eq!(found, headers, "{case}");
        // In the order of the map; equal maps may differ in it.
        assert!(found.iter().eq(headers.iter()), "{case}");
        assert_eq!(block.len(), size, "{case}");
    }

    fn block(headers: &HeaderMap) -> Vec<u8> {
        let mut block = Vec::new();
        FieldLines::write(headers, &mut block);
        block
    }
}
