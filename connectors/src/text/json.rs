//! JSON as one line of a file has it: an object's members, one after the other, nothing copied that need not be.
//!
//! Strict (RFC 8259), bounded in depth, and checked through: a nested value that is handed on as text is sound JSON.

use std::borrow::Cow;

use memchr::memchr2;

/// Deepest nesting that is read.
pub const MAX_DEPTH: usize = 64;

/// A member's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    Null,
    Bool(bool),
    /// As written.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// An object or an array, as written.
    Nested(&'a str),
}

/// What is wrong, and at which byte of the line, from 1.
type JsonResult<T> = Result<T, String>;

/// Gives each member of the object that `line` holds to `each`, in order.
///
/// # Errors
/// What is wrong and where, in words. Members before the fault have been given out.
pub fn members<'a>(line: &'a str, mut each: impl FnMut(Cow<'a, str>, Json<'a>)) -> JsonResult<()> {
    let mut parser = Parser { text: line, at: 0 };
    parser.spaces();
    if parser.peek() != Some(b'{') {
        return Err("a line must hold a JSON object".to_owned());
    }
    parser.object(1, &mut each)?;
    parser.spaces();
    if parser.at < line.len() { parser.fail("something stands after the object") } else { Ok(()) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn fail<T>(&self, what: &str) -> JsonResult<T> {
        Err(format!("broken JSON at byte {}: {what}", self.at + 1))
    }

    fn expect(&mut self, byte: u8, what: &str) -> JsonResult<()> {
        if self.peek() != Some(byte) {
            return self.fail(what);
        }
        self.at += 1;
        Ok(())
    }

    fn object(&mut self, depth: usize, each: &mut dyn FnMut(Cow<'a, str>, Json<'a>)) -> JsonResult<()> {
        self.expect(b'{', "an object begins with {")?;
        self.spaces();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.spaces();
            let name = self.text_value("a member's name must stand in quotes")?;
            self.spaces();
            self.expect(b':', "a colon is missing after a member's name")?;
            let value = self.value(depth)?;
            each(name, value);
            self.spaces();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                None => return self.fail("the object does not end"),
                Some(_) => return self.fail("a comma or } is missing"),
            }
        }
    }

    fn array(&mut self, depth: usize) -> JsonResult<()> {
        self.expect(b'[', "an array begins with [")?;
        self.spaces();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth)?;
            self.spaces();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                None => return self.fail("the array does not end"),
                Some(_) => return self.fail("a comma or ] is missing"),
            }
        }
    }

    /// A value within something of `depth`.
    fn value(&mut self, depth: usize) -> JsonResult<Json<'a>> {
        self.spaces();
        let begin = self.at;
        match self.peek() {
            Some(b'"') => Ok(Json::Text(self.text_value("a text must stand in quotes")?)),
            Some(b'{' | b'[') if depth >= MAX_DEPTH => Err(format!("nested more than {MAX_DEPTH} deep at byte {}", begin + 1)),
            Some(b'{') => {
                self.object(depth + 1, &mut |_, _| {})?;
                Ok(Json::Nested(self.since(begin)))
            }
            Some(b'[') => {
                self.array(depth + 1)?;
                Ok(Json::Nested(self.since(begin)))
            }
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            None => self.fail("a value is missing"),
            Some(_) => self.fail("this is no value"),
        }
    }

    fn since(&self, begin: usize) -> &'a str {
        self.text.get(begin..self.at).unwrap_or_default()
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> JsonResult<Json<'a>> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return self.fail("this is no value");
        }
        self.at += word.len();
        Ok(value)
    }

    fn digits(&mut self) -> usize {
        let begin = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - begin
    }

    fn number(&mut self) -> JsonResult<Json<'a>> {
        let begin = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        match self.digits() {
            0 => return self.fail("a number needs a digit"),
            1 => {}
            _ if leading_zero => return self.fail("a number does not begin with 0"),
            _ => {}
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return self.fail("a digit is missing after the point");
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return self.fail("a digit is missing in the exponent");
            }
        }
        Ok(Json::Number(self.since(begin)))
    }

    fn text_value(&mut self, what: &str) -> JsonResult<Cow<'a, str>> {
        self.expect(b'"', what)?;
        let mut unescaped: Option<String> = None;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let Some(length) = memchr2(b'"', b'\\', rest) else {
                return self.fail("a text does not end");
            };
            let piece = self.text.get(self.at..self.at + length).unwrap_or_default();
            if let Some(control) = piece.bytes().position(|byte| byte < 0x20) {
                self.at += control;
                return self.fail("a control character stands in a text");
            }
            self.at += length + 1;
            if rest.get(length) == Some(&b'"') {
                return Ok(match unescaped {
                    None => Cow::Borrowed(piece),
                    Some(text) => Cow::Owned(text + piece),
                });
            }
            let text = unescaped.get_or_insert_with(String::new);
            text.push_str(piece);
            let letter = self.escape()?;
            text.push(letter);
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> JsonResult<char> {
        let letter = self.peek();
        self.at += 1;
        Ok(match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => {
                self.at -= 1;
                return self.fail("an unknown escape");
            }
        })
    }

    fn unicode(&mut self) -> JsonResult<char> {
        let high = self.four_hex()?;
        let code = match high {
            0xd800..=0xdbff => {
                let followed = self.text.get(self.at..).is_some_and(|rest| rest.starts_with("\\u"));
                if !followed {
                    return self.fail("half of a surrogate pair");
                }
                self.at += 2;
                let low = self.four_hex()?;
                if !(0xdc00..=0xdfff).contains(&low) {
                    return self.fail("half of a surrogate pair");
                }
                0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
            }
            other => other,
        };
        char::from_u32(code).map_or_else(|| self.fail("half of a surrogate pair"), Ok)
    }

    fn four_hex(&mut self) -> JsonResult<u32> {
        let digits = self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => self.fail("\\u needs four hexadecimal digits"),
        }
    }
}

/// Writes a text in quotes.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f => {
                out.extend_from_slice(bytes.get(plain..at).unwrap_or_default());
                out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                plain = at + 1;
                continue;
            }
            _ => continue,
        };
        out.extend_from_slice(bytes.get(plain..at).unwrap_or_default());
        out.extend_from_slice(escaped);
        plain = at + 1;
    }
    out.extend_from_slice(bytes.get(plain..).unwrap_or_default());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn read(line: &str) -> JsonResult<Vec<(String, Value)>> {
        let mut found = Vec::new();
        members(line, |name, value| {
            let value = match value {
                Json::Null => Value::Null,
                Json::Bool(value) => Value::Bool(value),
                Json::Number(text) | Json::Nested(text) => serde_json::from_str(text).unwrap_or(Value::String("number".to_owned())),
                Json::Text(text) => Value::String(text.into_owned()),
            };
            found.push((name.into_owned(), value));
        })?;
        Ok(found)
    }

    fn same_as_serde(line: &str) {
        let theirs: Result<serde_json::Map<String, Value>, _> = serde_json::from_str(line);
        match (read(line), theirs) {
            (Ok(ours), Ok(theirs)) => {
                let ours: serde_json::Map<String, Value> = ours.into_iter().collect();
                assert_eq!(ours, theirs, "{line}");
            }
            (Err(_), Err(_)) => {}
            // A number like 1e999 is JSON, though no f64 holds it.
            (Ok(_), Err(error)) => assert!(error.to_string().contains("out of range"), "{line}: {error}"),
            (Err(error), Ok(_)) => panic!("{line}: {error}"),
        }
    }

    #[test]
    fn an_object_reads_as_any_other_reader_reads_it() {
        for line in [
            "{}",
            " { } ",
            r#"{"a":1,"b":-2.5e3,"c":"x\n\u00e4\ud83d\ude00","d":[1,{"e":[]}],"f":null,"g":true,"h":false}"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":.5}"#,
            r#"{"a":+1}"#,
            r#"{"a":1e}"#,
            r#"{"a":-}"#,
            r#"{"a" 1}"#,
            r#"{"a":1,}"#,
            r#"{"a":1"#,
            r#"{"a":"x}"#,
            r#"{"a":nul}"#,
            r#"{a:1}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\udc00"}"#,
            r#"{"a":"\ud800\u0041"}"#,
            r#"{"a":"\u12"}"#,
            r#"{"a":1} x"#,
            r#"{"a":[1 2]}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":1e999}"#,
            "{\"a\":\"\t\"}",
            r#"{"a":1,"a":2}"#,
            "[1]",
            "",
            "null",
        ] {
            same_as_serde(line);
        }
    }

    #[test]
    fn a_nest_of_64_is_read_and_one_of_65_is_not() {
        let nest = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(read(&nest(64)).is_ok());
        assert_eq!(read(&nest(65)).unwrap_err(), "nested more than 64 deep at byte 69");
        assert!(read(&"{\"a\":".repeat(1_000_000)).is_err());
    }

    #[test]
    fn a_fault_is_told_with_its_place() {
        assert_eq!(read(r#"{"a":1 "b":2}"#).unwrap_err(), "broken JSON at byte 8: a comma or } is missing");
        assert_eq!(read("[1]").unwrap_err(), "a line must hold a JSON object");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_it_was(text in any::<String>()) {
            let mut line = b"{\"a\":".to_vec();
            write_text(&text, &mut line);
            line.push(b'}');
            let line = String::from_utf8(line).unwrap();
            prop_assert_eq!(read(&line).unwrap(), vec![("a".to_owned(), Value::String(text))]);
        }

        #[test]
        fn any_line_is_accepted_or_refused_as_by_another_reader(line in "\\{(\"[ab]\" ?: ?[-0-9eE.+tfnul\"\\\\\\[\\]{}:, ]{0,12},?){0,3}\\}?") {
            same_as_serde(&line);
        }
    }
}
