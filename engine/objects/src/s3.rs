//! The bucket that an address names, with the key that the environment has.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use millrace_state::{StateError, StateResult, Trouble};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use tokio::runtime::Handle;

use crate::address::Address;
use crate::bucket::Bucket;

/// A request has at most eight megabytes, or asks for as many.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A server that is away for longer costs the epoch, not the run.
const RETRIES: RetryConfig = RetryConfig {
    backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 2.0 },
    max_retries: 5,
    retry_timeout: Duration::from_secs(20),
};

/// Where a key comes from. The service of a machine in the cloud is asked only if its address is named, so that no key is told at once.
const KEYS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_METADATA_ENDPOINT",
];

const ENDPOINTS: [&str; 3] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];

/// What the environment says about S3, under the names that all its tools use (`AWS_...`). It holds keys, and is never shown.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

impl Environment {
    /// This process'.
    pub fn of_process() -> Environment {
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_empty())
    }

    fn endpoint(&self) -> Option<&str> {
        ENDPOINTS.iter().find_map(|name| self.0.get(*name)).map(String::as_str)
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(all: T) -> Self {
        Environment(all.into_iter().filter(|(name, _)| name.starts_with("AWS_")).collect())
    }
}

/// Opens the bucket of an address, for objects below its prefix. Nothing is asked of the server yet.
///
/// # Errors
/// If the environment has no key, or a server that is spoken to in plain text.
pub fn open(address: &Address, environment: &Environment, runtime: Handle) -> StateResult<Bucket> {
    let name = address.to_string();
    let wrong = |trouble, cause: &str| StateError::remote(name.clone(), trouble, cause);
    let is_anonymous = environment.0.get("AWS_SKIP_SIGNATURE").is_some_and(|value| value == "true");
    if !is_anonymous && !KEYS.iter().any(|name| environment.has(name)) {
        return Err(wrong(Trouble::NoCredentials, "the environment has no key for it"));
    }
    let mut builder = AmazonS3Builder::new();
    for (key, value) in &environment.0 {
        if let Ok(key) = key.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    let may_be_plain = environment.0.get("AWS_ALLOW_HTTP").is_some_and(|value| value == "true" || value == "1");
    let is_plain = environment.endpoint().is_some_and(|endpoint| !endpoint.starts_with("https://"));
    let is_here = environment.endpoint().is_some_and(is_loopback);
    if is_plain && !is_here && !may_be_plain {
        let cause = "the endpoint in the environment is not https, and keys and rows would be read on the way";
        return Err(wrong(Trouble::BadAddress, cause));
    }
    let client = ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_connect_timeout(Duration::from_secs(5)).with_allow_http(is_plain);
    let objects = builder
        .with_bucket_name(&address.bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(client)
        .with_retry(RETRIES)
        .build()
        // Its words may hold what the environment holds.
        .map_err(|_| wrong(Trouble::BadAddress, "what the environment says about it (AWS_...) does not fit together"))?;
    Ok(Bucket::new(Arc::new(objects), &address.prefix, name, runtime))
}

/// Whether an address leads to this machine and no further.
fn is_loopback(endpoint: &str) -> bool {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Before an `@` stands no host.
    let host = host.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(environment: &[(&str, &str)]) -> Result<Bucket, StateError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        open(&Address::parse("s3://state/x").unwrap(), &environment, runtime.handle().clone())
    }

    #[test]
    fn a_key_is_needed_and_goes_over_plain_http_only_within_this_machine() {
        let key = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "SECRET"), ("AWS_REGION", "eu-central-1")];
        let with = |more: &[(&'static str, &'static str)]| opened(&[&key[..], more].concat());
        with(&[]).unwrap();
        with(&[("AWS_ENDPOINT_URL", "https://objects.example")]).unwrap();
        for here in ["http://127.0.0.1:9000", "http://localhost:9000/", "http://[::1]:9000"] {
            with(&[("AWS_ENDPOINT_URL", here)]).unwrap();
        }
        with(&[("AWS_ENDPOINT_URL", "http://objects.example"), ("AWS_ALLOW_HTTP", "true")]).unwrap();
        for plain in ["http://objects.example", "http://127.0.0.1@objects.example", "http://127.0.0.1.objects.example:80/"] {
            let error = with(&[("AWS_ENDPOINT_URL", plain)]).unwrap_err();
            assert!(matches!(error, StateError::Remote { trouble: Trouble::BadAddress, .. }), "{plain}: {error}");
            assert!(!error.to_string().contains("SECRET"), "{error}");
        }
        assert!(matches!(opened(&[]).unwrap_err(), StateError::Remote { trouble: Trouble::NoCredentials, .. }));
    }

    #[test]
    fn what_holds_keys_shows_none() {
        let environment: Environment = [("AWS_SECRET_ACCESS_KEY".to_owned(), "SECRET".to_owned())].into_iter().collect();
        assert!(!format!("{environment:?}").contains("SECRET"));
        let bucket = opened(&[("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "SECRET")]).unwrap();
        assert!(!format!("{bucket:?}").contains("SECRET"), "{bucket:?}");
    }
}
