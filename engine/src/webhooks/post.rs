//! One request. What went wrong is told without the address: reqwest's own errors hold it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millrace_model::alert::WebhookUrl;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

use super::Body;

/// What came of one try.
#[derive(Debug, PartialEq, Eq)]
pub enum Tried {
    Taken,
    /// No further try can help.
    Refused(String),
    /// Another may.
    Failed(String),
}

pub struct Poster {
    timeout: Duration,
    /// Made with the first message: it reads the system's root certificates, which takes a while.
    client: OnceLock<Option<Client>>,
}

impl Poster {
    pub fn new(timeout: Duration) -> Poster {
        Poster { timeout, client: OnceLock::new() }
    }

    fn client(&self) -> Option<&Client> {
        let make = || {
            let builder = Client::builder().user_agent(concat!("millrace/", env!("CARGO_PKG_VERSION")));
            // Who answers with another address is not believed: what is posted goes where the file says.
            let builder = builder.redirect(Policy::none()).referer(false).dns_resolver(Arc::new(NoLinkLocal));
            builder.timeout(self.timeout).connect_timeout(self.timeout).pool_max_idle_per_host(1).build().ok()
        };
        self.client.get_or_init(make).as_ref()
    }

    pub async fn post(&self, url: &WebhookUrl, body: Body) -> Tried {
        let Ok(url) = Url::parse(url.secret()) else { return Tried::Refused("the address cannot be read".to_owned()) };
        if url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok()).is_some_and(is_link_local) {
            return Tried::Refused(LINK_LOCAL.to_owned());
        }
        let Some(client) = self.client() else { return Tried::Refused("this machine's TLS cannot be used".to_owned()) };
        let request = client.post(url).header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.to_vec());
        match request.send().await {
            // The answer's own words are not read: they may be as long as they like.
            Ok(answer) => judge(answer.status()),
            Err(error) => failed(&error, self.timeout),
        }
    }
}

fn judge(status: StatusCode) -> Tried {
    let problem = format!("it answered {}", status.as_u16());
    match status {
        status if status.is_success() => Tried::Taken,
        status if status.is_redirection() => Tried::Refused(format!("{problem}, and redirects are not followed")),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Tried::Failed(problem),
        status if status.is_client_error() => Tried::Refused(problem),
        _ => Tried::Failed(problem),
    }
}

fn failed(error: &reqwest::Error, timeout: Duration) -> Tried {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(source) = cause {
        if source.downcast_ref::<LinkLocal>().is_some() {
            return Tried::Refused(LINK_LOCAL.to_owned());
        }
        cause = source.source();
    }
    Tried::Failed(if error.is_timeout() {
        format!("it did not answer within {} s", timeout.as_secs_f64())
    } else if error.is_connect() {
        "it could not be reached".to_owned()
    } else {
        "the connection was lost before it had answered".to_owned()
    })
}

const LINK_LOCAL: &str = "link-local addresses are not called: services of the machine's own host answer there";

/// A host whose addresses are all link-local.
#[derive(Debug)]
struct LinkLocal;

impl std::fmt::Display for LinkLocal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(LINK_LOCAL)
    }
}

impl std::error::Error for LinkLocal {}

/// Looks names up as the system does, and passes over link-local addresses: there is where clouds give out their keys.
struct NoLinkLocal;

impl Resolve for NoLinkLocal {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let good: Vec<SocketAddr> = found.iter().filter(|address| !is_link_local(address.ip())).copied().collect();
            if good.is_empty() && !found.is_empty() {
                return Err(LinkLocal.into());
            }
            let addresses: Addrs = Box::new(good.into_iter());
            Ok(addresses)
        })
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_what_will_not_is_not() {
        let judged = |status: u16| judge(StatusCode::from_u16(status).unwrap());
        assert_eq!(judged(204), Tried::Taken);
        assert_eq!(judged(500), Tried::Failed("it answered 500".to_owned()));
        assert_eq!(judged(429), Tried::Failed("it answered 429".to_owned()));
        assert_eq!(judged(404), Tried::Refused("it answered 404".to_owned()));
        assert_eq!(judged(302), Tried::Refused("it answered 302, and redirects are not followed".to_owned()));
    }

    #[tokio::test]
    async fn a_link_local_address_is_not_called_however_it_is_written() {
        for url in ["http://169.254.169.254/latest", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/"] {
            let tried = Poster::new(Duration::from_secs(1)).post(&WebhookUrl::parse(url).unwrap(), Vec::new().into()).await;
            assert_eq!(tried, Tried::Refused(LINK_LOCAL.to_owned()), "{url}");
        }
    }
}
