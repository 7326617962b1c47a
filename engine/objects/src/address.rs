//! `s3://BUCKET/PREFIX`.

/// Where in which bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub bucket: String,
    /// The names that all objects' names begin with.
    pub prefix: Vec<String>,
}

const SCHEME: &str = "s3://";

impl Address {
    /// Whether it names a bucket, rather than a folder.
    pub fn is_one(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it. The text is not repeated: it may hold a key that does not belong there.
    pub fn parse(text: &str) -> Result<Address, &'static str> {
        let rest = text.strip_prefix(SCHEME).ok_or("it does not begin with s3://")?;
        if rest.contains(['@', '?', '#']) {
            return Err(
                "it has more than a bucket and a prefix; keys belong into the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)",
            );
        }
        let mut names = rest.trim_end_matches('/').split('/');
        let bucket = names.next().unwrap_or_default();
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(is_letter) {
            return Err("a bucket's name has 3 to 63 lower-case letters, digits, `-` and `.`");
        }
        let prefix: Vec<String> = names.map(str::to_owned).collect();
        if prefix.iter().any(|name| name.is_empty() || name == "." || name == "..") {
            return Err("a prefix is names with `/` between them");
        }
        Ok(Address { bucket: bucket.to_owned(), prefix })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{SCHEME}{}", self.bucket)?;
        self.prefix.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_bucket_and_a_prefix_and_never_a_key() {
        for (text, prefix) in [("s3://state", vec![]), ("s3://state/", vec![]), ("s3://my.state/a/b-c", vec!["a", "b-c"])] {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (address.prefix.clone(), address.to_string()),
                (prefix.iter().map(|&it| it.to_owned()).collect(), text.trim_end_matches('/').to_owned())
            );
        }
        for wrong in [
            "s3://",
            "s3://a",
            "s3://State",
            "s3://state//x",
            "s3://state/../x",
            "gs://state",
            "s3://KEY:hush@state/x",
            "s3://state?key=hush",
        ] {
            let why = Address::parse(wrong).unwrap_err();
            assert!(!why.contains("hush"), "{wrong}: {why}");
        }
    }
}
