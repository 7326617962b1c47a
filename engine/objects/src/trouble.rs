//! What a client's error means, in words that hold no key: neither headers, nor addresses, nor what a server says about a signature.

use std::error::Error as _;

use millrace_state::{StateError, Trouble};
use object_store::Error;

/// The error of a call for `path`, which has the store's name before it.
pub fn state_error(path: String, error: &Error) -> StateError {
    let text = error.to_string();
    let code = between(&text, "<Code>", "</Code>").filter(|code| code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let trouble = match (error, code) {
        (_, Some("NoSuchBucket")) => Trouble::NoBucket,
        (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _) => Trouble::Refused,
        (_, Some("NotImplemented")) | (Error::NotImplemented { .. } | Error::NotSupported { .. }, _) => Trouble::NoConditionalCreate,
        _ => Trouble::Away,
    };
    let cause = match (code, trouble) {
        (Some(code), _) => format!("the object store answers {code}"),
        (None, Trouble::Refused) => "the object store refuses".to_owned(),
        (None, _) => innermost(error),
    };
    StateError::remote(path, trouble, cause)
}

/// What the system said: `Connection refused`. The errors around it name addresses.
fn innermost(error: &Error) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    let text = cause.map_or_else(|| "the object store failed".to_owned(), ToString::to_string);
    // A status without a body that tells more; the text before it is the request's.
    match between(&text, "status code: ", ":") {
        Some(status) => format!("the object store answers {status}"),
        None => text,
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str) -> Error {
        Error::PermissionDenied {
            path: "x".to_owned(),
            source: format!("Server returned non-2xx status code: 403 Forbidden: {body}").into(),
        }
    }

    #[test]
    fn a_key_is_in_no_error_whatever_the_server_says() {
        let body =
            "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIA</AWSAccessKeyId><StringToSign>AKIA</StringToSign></Error>";
        let error = state_error("s3://state/x".to_owned(), &said(body)).to_string();
        assert_eq!(error, "s3://state/x: the object store answers SignatureDoesNotMatch");
        assert!(!state_error("x".to_owned(), &said("AKIA")).to_string().contains("AKIA"));
        let status = Error::Generic { store: "S3", source: "Server returned non-2xx status code: 500 Internal Server Error: AKIA".into() };
        assert_eq!(state_error("x".to_owned(), &status).to_string(), "x: the object store answers 500 Internal Server Error");
    }
}
