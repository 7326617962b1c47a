//! Values as JSON text, for aggregates whose results are lists: there is no type of lists.

use millrace_expr::time_text::{format_date, format_timestamp};
use millrace_model::DataType as Type;

use super::words;

/// Appends a value that is a word ([`super::words`]) of this type. Times are ISO 8601 text, NaN and infinities are text too.
pub fn push_word(word: u64, of: Type, out: &mut String) {
    match of {
        Type::Boolean => out.push_str(if word == 0 { "false" } else { "true" }),
        Type::UBigInt => out.push_str(&word.to_string()),
        Type::Float => push_float(words::to_f64(word), serde_json::to_string(&(words::to_f64(word) as f32)), out),
        Type::Double => push_float(words::to_f64(word), serde_json::to_string(&words::to_f64(word)), out),
        Type::Date => push_text(&format_date(words::to_i64(word)), out),
        Type::Timestamp => push_text(&format_timestamp(words::to_i64(word)), out),
        _ => out.push_str(&words::to_i64(word).to_string()),
    }
}

fn push_float(value: f64, text: serde_json::Result<String>, out: &mut String) {
    match text {
        Ok(text) if value.is_finite() => out.push_str(&text),
        _ => push_text(&value.to_string(), out),
    }
}

pub fn push_text(text: &str, out: &mut String) {
    // Writing a text to memory does not fail.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_as_json() {
        let text = |word: u64, of: Type| {
            let mut out = String::new();
            push_word(word, of, &mut out);
            out
        };
        assert_eq!(text(1, Type::Boolean), "true");
        assert_eq!(text(u64::MAX, Type::UBigInt), u64::MAX.to_string());
        assert_eq!(text(words::of_i64(-5), Type::SmallInt), "-5");
        assert_eq!(text(words::of_f64(f64::from(0.1f32)), Type::Float), "0.1");
        assert_eq!(text(words::of_f64(2.0), Type::Double), "2.0");
        assert_eq!(text(words::of_f64(f64::NAN), Type::Double), "\"NaN\"");
        assert_eq!(text(words::of_i64(0), Type::Date), "\"1970-01-01\"");
        assert!(text(words::of_i64(1_500_000), Type::Timestamp).starts_with("\"1970-01-01"));
        let mut out = String::new();
        push_text("a\"b", &mut out);
        assert_eq!(out, r#""a\"b""#);
    }
}
