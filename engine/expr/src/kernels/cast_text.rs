//! Numbers and truth values as text, read and written as DuckDB does.

use std::fmt::Write;

/// `true`, `t`, `yes`, `y`, `1` and their opposites, in any case, without spaces around.
pub(crate) fn text_to_boolean(text: &str) -> Option<bool> {
    let is = |words: [&str; 5]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["true", "t", "yes", "y", "1"]) {
        Some(true)
    } else if is(["false", "f", "no", "n", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// `1.5`, `-2e3`, `inf`, `nan`, `1_000.5`, with spaces around.
pub(crate) fn text_to_double(text: &str) -> Option<f64> {
    with_plain_digits(text, |text| text.parse().ok())
}

/// The same to the nearest FLOAT at once.
pub(crate) fn text_to_float(text: &str) -> Option<f32> {
    with_plain_digits(text, |text| text.parse().ok())
}

fn with_plain_digits<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let text = trimmed(text);
    if !text.contains('_') {
        return read(text);
    }
    if underscores_are_between_digits(text) { read(&text.replace('_', "")) } else { None }
}

fn underscores_are_between_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hexadecimal = text.contains(['x', 'X']);
    let is_digit = |byte: &u8| if hexadecimal { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(is_digit);
    memchr::memchr_iter(b'_', bytes).all(|at| digit(at.checked_sub(1)) && digit(Some(at + 1)))
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c'])
}

/// `42`, ` 42 `, `1e3`, `42.5` (rounded, halves away from zero), `0x2A`, `0b11`, `1_000`, if it is within the range.
pub(crate) fn text_to_integer(text: &str, (least, most): (i128, i128)) -> Option<i128> {
    let text = trimmed(text);
    let number = match text.parse::<i64>() {
        Ok(number) => i128::from(number),
        Err(_) => rare_integer(text, least < 0)?,
    };
    (least..=most).contains(&number).then_some(number)
}

fn rare_integer(text: &str, signed: bool) -> Option<i128> {
    if text.contains('_') {
        if !underscores_are_between_digits(text) {
            return None;
        }
        return rare_integer(&text.replace('_', ""), signed);
    }
    let radix = |prefix: [&str; 2]| prefix.iter().find_map(|prefix| text.strip_prefix(prefix));
    let digits_of = |digits: &str, radix| if digits.starts_with(['+', '-']) { None } else { i128::from_str_radix(digits, radix).ok() };
    if let Some(digits) = radix(["0x", "0X"]) {
        return digits_of(digits, 16);
    }
    if let Some(digits) = radix(["0b", "0B"]) {
        return digits_of(digits, 2);
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    // An unsigned number has no minus, but for -0.
    if negative && !signed && digits.bytes().any(|byte| byte != b'0') {
        return None;
    }
    let number = decimal(digits)?;
    Some(if negative { -number } else { number })
}

/// Digits with a point and an exponent, to the nearest whole number; halves go up.
fn decimal(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?.clamp(-1_000, 1_000)),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut digits = whole.bytes().chain(fraction.bytes()).map(|byte| i128::from(byte - b'0')).chain(std::iter::repeat(0));
    let before_point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    if before_point < 0 {
        return Some(0);
    }
    let mut number = 0i128;
    for digit in digits.by_ref().take(before_point as usize) {
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    Some(if digits.next() >= Some(5) { number + 1 } else { number })
}

/// Appends a DOUBLE: the shortest digits that read back, `1.0`, `1e+20`, `1e-05`, `nan`.
pub(crate) fn write_double(number: f64, to: &mut String) {
    if !number.is_finite() {
        to.push_str(not_finite(number));
        return;
    }
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let _ = write!(to, "{number:e}");
        mend_exponent(to);
    } else {
        let _ = write!(to, "{number}");
        if number.fract() == 0.0 {
            to.push_str(".0");
        }
    }
}

/// Appends a FLOAT.
pub(crate) fn write_float(number: f32, to: &mut String) {
    if !number.is_finite() {
        to.push_str(not_finite(f64::from(number)));
        return;
    }
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let _ = write!(to, "{number:e}");
        mend_exponent(to);
    } else {
        let _ = write!(to, "{number}");
        if number.fract() == 0.0 {
            to.push_str(".0");
        }
    }
}

fn not_finite(number: f64) -> &'static str {
    match number {
        _ if number.is_nan() => "nan",
        _ if number > 0.0 => "inf",
        _ => "-inf",
    }
}

/// `1e20` to `1e+20`, `1e-5` to `1e-05`.
fn mend_exponent(text: &mut String) {
    let Some(at) = text.rfind('e') else { return };
    let exponent = text.split_off(at + 1);
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent.as_str()), |digits| ('-', digits));
    text.push(sign);
    if digits.len() < 2 {
        text.push('0');
    }
    text.push_str(digits);
}
