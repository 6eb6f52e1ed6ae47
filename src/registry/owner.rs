//! Owner: the domains under which a name says who has it, and those under which it does not.
//!
//! A wildcard could send one credential to whoever a Dockerfile names. The lists are short on purpose: what they miss is
//! a registry's host that somebody chose to match with a wildcard, below a domain where strangers get names.

/// Domains under which strangers get names, or share hosts, at any depth.
const SHARED: &[&str] = &[
    "aliyuncs.com",
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "appspot.com",
    "azurecontainer.io",
    "azureedge.net",
    "azurewebsites.net",
    "cloudapp.azure.com",
    "cloudapp.net",
    "cloudfront.net",
    "core.windows.net",
    "ddns.net",
    "digitaloceanspaces.com",
    "duckdns.org",
    "dyndns.org",
    "elasticbeanstalk.com",
    "firebaseapp.com",
    "fly.dev",
    "gcr.io",
    "github.dev",
    "github.io",
    "githubusercontent.com",
    "gitlab.io",
    "herokuapp.com",
    "hf.space",
    "icr.io",
    "myhuaweicloud.com",
    "netlify.app",
    "ngrok-free.app",
    "ngrok.app",
    "ngrok.dev",
    "ngrok.io",
    "nip.io",
    "no-ip.org",
    "ocir.io",
    "on.aws",
    "ondigitalocean.app",
    "onrender.com",
    "pages.dev",
    "pkg.dev",
    "r2.dev",
    "railway.app",
    "run.app",
    "scw.cloud",
    "sslip.io",
    "tencentcloudcr.com",
    "trafficmanager.net",
    "trycloudflare.com",
    "ts.net",
    "vercel.app",
    "web.app",
    "workers.dev",
];

/// Domains directly under which anybody gets a name; what stands below that name is its customer's.
const SOLD: &[&str] = &[
    "azurecr.cn",
    "azurecr.io",
    "azurecr.us",
    "br.com",
    "cloudsmith.io",
    "cn.com",
    "co.com",
    "de.com",
    "eu.com",
    "eu.org",
    "gb.net",
    "jfrog.io",
    "jp.net",
    "uk.com",
    "us.com",
    "za.com",
];

/// Whether strangers cannot get a name below the labels.
pub(super) fn pins_owner(tail: &[String]) -> bool {
    let name = tail.join(".");
    let below = |domain: &&str| name == **domain || name.ends_with(&format!(".{domain}"));
    tail.len() >= 2 && !SHARED.iter().any(below) && !SOLD.contains(&name.as_str()) && !is_country_suffix(tail)
}

/// `co.uk`, `com.au` and the like: a country's own second level, where names are sold.
fn is_country_suffix(tail: &[String]) -> bool {
    const SECOND: &[&str] = &[
        "ac", "ad", "art", "asn", "biz", "co", "com", "ed", "edu", "firm", "gen", "go", "gob", "gouv", "gov",
        "gr", "id", "ind", "info", "ltd", "me", "mil", "name", "ne", "net", "nhs", "nom", "or", "org", "plc",
        "police", "presse", "priv", "pro", "sch", "school", "sci", "tm", "web",
    ];
    matches!(tail, [second, country] if country.len() == 2 && SECOND.contains(&second.as_str()))
}

#[cfg(test)]
mod tests {
    use crate::registry::Pattern;

    #[test]
    fn a_wildcard_is_pinned_where_only_one_owner_has_names() {
        let pins = |text: &str| Pattern::parse(text).unwrap().pins_owner();
        for text in [
            "*.example.com",
            "*.registry.example.com",
            "*.acme.co.uk",
            "*.acme.azurecr.io",
            "a.*.example.com",
            "docker.io",
        ] {
            assert!(pins(text), "{text}");
        }
        for text in [
            "*",
            "*.com",
            "*.co.uk",
            "*.com.au",
            "*.azurecr.io",
            "*.jfrog.io",
            "*-docker.pkg.dev",
            "*.gcr.io",
            "*.dkr.ecr.eu-west-1.amazonaws.com",
            "*.dkr-ecr.eu-west-1.on.aws",
            "*.dkr.ecr.cn-north-1.amazonaws.com.cn",
            "*.a.run.app",
            "*.app.github.dev",
            "*.nyc3.digitaloceanspaces.com",
            "*.rg.fr-par.scw.cloud",
            "*.uk.com",
            "registry.*",
        ] {
            assert!(!pins(text), "{text}");
        }
    }
}
