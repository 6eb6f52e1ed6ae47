//! Hosts: the names that registries of Amazon ECR have.

use crate::aws::Partition;

/// Amazon ECR Public, and its name that is there over IPv6 too.
const PUBLIC: [&str; 2] = ["public.ecr.aws", "ecr-public.aws.com"];

/// Whose registry a name is.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Host<'h> {
    /// An account's own, in one region.
    Private { account: &'h str, region: &'h str },
    /// The one for everybody.
    Public,
}

impl<'h> Host<'h> {
    /// Reads a host, without port and in lower case; `None` where it is nothing of ECR's.
    ///
    /// Private ones are `ACCOUNT.dkr.ecr.REGION.amazonaws.com` and, over IPv6 too, `ACCOUNT.dkr-ecr.REGION.on.aws`, with
    /// `-fips` behind `ecr`, and each partition's own domain at the end
    /// (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-requests.html>).
    pub(super) fn parse(host: &'h str) -> Option<Self> {
        if PUBLIC.contains(&host) {
            return Some(Self::Public);
        }
        let (account, rest) = host.split_once('.')?;
        let dotted = ["dkr.ecr.", "dkr.ecr-fips."].iter().find_map(|label| rest.strip_prefix(label));
        let dashed = || ["dkr-ecr.", "dkr-ecr-fips."].iter().find_map(|label| rest.strip_prefix(label));
        let (region, domain) = dotted.or_else(dashed)?.split_once('.')?;
        let partition = Partition::of(region)?;
        let expected = if dotted.is_some() { Some(domain) } else { domain.strip_prefix("on.") };
        let own = if dotted.is_some() { partition.domain } else { partition.dual_stack };
        (is_account(account) && expected == Some(own)).then_some(Self::Private { account, region })
    }
}

/// Whether it is an account's number.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_private_host_names_account_and_region() {
        for (rest, region) in [
            ("dkr.ecr.us-east-1.amazonaws.com", "us-east-1"),
            ("dkr.ecr-fips.us-east-2.amazonaws.com", "us-east-2"),
            ("dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
            ("dkr-ecr-fips.us-west-2.on.aws", "us-west-2"),
            ("dkr.ecr.ap-southeast-5.amazonaws.com", "ap-southeast-5"),
            ("dkr.ecr.us-gov-east-1.amazonaws.com", "us-gov-east-1"),
            ("dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
            ("dkr-ecr-fips.us-gov-east-1.on.aws", "us-gov-east-1"),
            ("dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn", "cn-northwest-1"),
            ("dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
            ("dkr-ecr.eusc-de-east-1.on.amazonwebservices.eu", "eusc-de-east-1"),
            ("dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
            ("dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
            ("dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
            ("dkr.ecr.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1"),
        ] {
            let (host, account) = (format!("123456789012.{rest}"), "123456789012");
            assert_eq!(Host::parse(&host), Some(Host::Private { account, region }), "{host}");
        }
    }

    #[test]
    fn the_public_registry_has_two_names() {
        assert_eq!(Host::parse("public.ecr.aws"), Some(Host::Public));
        assert_eq!(Host::parse("ecr-public.aws.com"), Some(Host::Public));
    }

    #[test]
    fn what_aws_gives_no_such_name_is_no_registry_of_ecr() {
        for host in [
            "docker.io",
            "dkr.ecr.us-east-1.amazonaws.com",
            "12345678901.dkr.ecr.us-east-1.amazonaws.com",
            "1234567890123.dkr.ecr.us-east-1.amazonaws.com",
            "12345678901x.dkr.ecr.us-east-1.amazonaws.com",
            "x.123456789012.dkr.ecr.us-east-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com.cn",
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com:8443",
            "123456789012.dkr.ecr.us-east-1.on.aws",
            "123456789012.dkr-ecr.us-east-1.amazonaws.com",
            "123456789012.dkr-ecr.us-east-1.aws",
            "123456789012.dkr-ecr.us-east-1.api.aws",
            "123456789012.dkr.ecr.s3.amazonaws.com",
            "123456789012.dkr.ecr.amazonaws.com",
            "123456789012.dkr.ecrx.us-east-1.amazonaws.com",
            "123456789012.dkr.ecr-fipsx.us-east-1.amazonaws.com",
            "123456789012.xkr.ecr.us-east-1.amazonaws.com",
            "x.public.ecr.aws",
            "public.ecr.aws.evil.example",
            "ecr.aws",
        ] {
            assert_eq!(Host::parse(host), None, "{host}");
        }
    }
}
