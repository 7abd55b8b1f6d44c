//! The Dictionary of structured fields, as strict as its parsing algorithm (RFC 8941 §3.2, §4.2.2).
//!
//! Cache directives have no inner lists and no byte sequences, so a field that holds one counts as malformed here.

/// The value of a member, as far as cache directives need to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// `?0`, `?1`, or true for a member without a value.
    Boolean(bool),
    /// At most 15 digits.
    Integer(i64),
    /// A decimal, a string or a token.
    Other,
}

/// The members of a whole field value, in order of their first occurrence; `None` if any byte of it is out of place.
pub(super) fn parse(text: &[u8]) -> Option<Vec<(&[u8], Value)>> {
    let mut parser = Parser { rest: text };
    let mut members: Vec<(&[u8], Value)> = Vec::new();
    parser.skip(b" ");
    while !parser.rest.is_empty() {
        let key = parser.key()?;
        let value = if parser.take(b'=') { parser.item()? } else { Value::Boolean(true) };
        parser.parameters()?;
        // "If dictionary already contains a key this_key (comparing character for character), overwrite its value with
        // member."
        match members.iter_mut().find(|(known, _)| *known == key) {
            Some(member) => member.1 = value,
            None => members.push((key, value)),
        }
        parser.skip(b" \t");
        if parser.rest.is_empty() {
            break;
        }
        if !parser.take(b',') {
            return None;
        }
        parser.skip(b" \t");
        // "If input_string is empty, there is a trailing comma; fail parsing."
        if parser.rest.is_empty() {
            return None;
        }
    }
    Some(members)
}

struct Parser<'a> {
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    fn key(&mut self) -> Option<&'a [u8]> {
        let first = *self.rest.first()?;
        if !(first.is_ascii_lowercase() || first == b'*') {
            return None;
        }
        Some(self.take_while(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)))
    }

    fn item(&mut self) -> Option<Value> {
        match *self.rest.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'?' => self.boolean(),
            b'*' | b'a'..=b'z' | b'A'..=b'Z' => {
                self.take_while(|byte| super::field::is_token_byte(byte) || b":/".contains(&byte));
                Some(Value::Other)
            }
            _ => None,
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.skip(b" ");
            self.key()?;
            if self.take(b'=') {
                self.item()?;
            }
        }
        Some(())
    }

    fn number(&mut self) -> Option<Value> {
        let sign = if self.take(b'-') { -1 } else { 1 };
        let whole = self.take_while(|byte| byte.is_ascii_digit());
        if self.take(b'.') {
            let fraction = self.take_while(|byte| byte.is_ascii_digit());
            return ((1..=12).contains(&whole.len()) && (1..=3).contains(&fraction.len())).then_some(Value::Other);
        }
        if !(1..=15).contains(&whole.len()) {
            return None;
        }
        let magnitude = whole.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        Some(Value::Integer(sign * magnitude))
    }

    fn string(&mut self) -> Option<Value> {
        self.take(b'"');
        loop {
            match self.next()? {
                b'"' => return Some(Value::Other),
                b'\\' if !matches!(self.next()?, b'"' | b'\\') => return None,
                byte if !(b' '..=b'~').contains(&byte) => return None,
                _ => {}
            }
        }
    }

    fn boolean(&mut self) -> Option<Value> {
        self.take(b'?');
        match self.next()? {
            b'0' => Some(Value::Boolean(false)),
            b'1' => Some(Value::Boolean(true)),
            _ => None,
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn skip(&mut self, bytes: &[u8]) {
        self.take_while(|byte| bytes.contains(&byte));
    }

    fn take_while(&mut self, accepted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&byte| !accepted(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_dictionaries() {
        let yes = Value::Boolean(true);
        check("", Some(&[]));
        check("none", Some(&[("none", yes)]));
        check("max-age=60", Some(&[("max-age", Value::Integer(60))]));
        check("  a , b\t,\tc  ", Some(&[("a", yes), ("b", yes), ("c", yes)]));
        check("a=?0, b=?1", Some(&[("a", Value::Boolean(false)), ("b", yes)]));
        check("a=-5", Some(&[("a", Value::Integer(-5))]));
        check("a=999999999999999", Some(&[("a", Value::Integer(999_999_999_999_999))]));
        check(r#"a=1.5, b="x, \"y\\", c=tok:en/1, d=*"#, Some(&["a", "b", "c", "d"].map(|key| (key, Value::Other))));
        check("a=1;x;y=2; z=\"3\", b;q=?1", Some(&[("a", Value::Integer(1)), ("b", yes)]));
        check("a=1, b, a=2", Some(&[("a", Value::Integer(2)), ("b", yes)]));
    }

    #[test]
    fn one_bad_member_voids_the_field() {
        for text in [
            "a,",
            ",a",
            "a,,b",
            "a b",
            "A",
            "Max-Age=60",
            "max-age = 60",
            "max-age= 60",
            "max-age=",
            "a=1000000000000000",
            "a=1.",
            "a=1.2345",
            "a=1234567890123.1",
            "a=--1",
            "a='60'",
            "a=\"x",
            r#"a="\x""#,
            "a=\"é\"",
            "a=?2",
            "a=?",
            "a;",
            "a;B",
            "a=1 ;b",
            "a=(1 2)",
            "a=:aGk=:",
            "a=@1",
            "1a",
            "=1",
            "\ta",
            "é",
        ] {
            check(text, None);
        }
    }

    fn check(text: &str, expected: Option<&[(&str, Value)]>) {
        let expected: Option<Vec<_>> =
            expected.map(|members| members.iter().map(|&(key, value)| (key.as_bytes(), value)).collect());
        assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
    }
}
