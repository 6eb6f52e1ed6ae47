//! Partition: a part of AWS that knows nothing of the others, with its regions and its own domains.

/// One partition
/// (<https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>).
#[derive(Debug, Eq, PartialEq)]
pub struct Partition {
    /// What its regions begin with; nothing for the one that has all others.
    regions: &'static str,
    /// What its services' names end in.
    pub domain: &'static str,
    /// The same for names that are there over IPv4 and IPv6: behind `api.` for services, behind `on.` for what customers
    /// have in them.
    pub dual_stack: &'static str,
}

/// As AWS's SDKs have them; GovCloud (`us-gov-`) shares its domains with the first one.
const PARTITIONS: [Partition; 7] = [
    Partition { regions: "cn-", domain: "amazonaws.com.cn", dual_stack: "amazonwebservices.com.cn" },
    Partition { regions: "eu-isoe-", domain: "cloud.adc-e.uk", dual_stack: "cloud-aws.adc-e.uk" },
    Partition { regions: "eusc-", domain: "amazonaws.eu", dual_stack: "amazonwebservices.eu" },
    Partition { regions: "us-iso-", domain: "c2s.ic.gov", dual_stack: "aws.ic.gov" },
    Partition { regions: "us-isob-", domain: "sc2s.sgov.gov", dual_stack: "aws.scloud" },
    Partition { regions: "us-isof-", domain: "csp.hci.ic.gov", dual_stack: "aws.hci.ic.gov" },
    Partition { regions: "", domain: "amazonaws.com", dual_stack: "aws" },
];

impl Partition {
    /// The partition of a region; `None` where the text is no region's name.
    pub fn of(region: &str) -> Option<&'static Self> {
        let is_its = |partition: &&Self| region.starts_with(partition.regions);
        PARTITIONS.iter().find(is_its).filter(|_| is_region(region))
    }
}

/// Whether the text has the form of a region's name, such as `us-gov-east-1`. Nothing else may become a part of a
/// service's name: `api.ecr.s3.amazonaws.com` could be a stranger's bucket.
pub fn is_region(text: &str) -> bool {
    let mut parts: Vec<&str> = text.split('-').collect();
    let number = parts.pop().unwrap_or_default();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_lowercase());
    let is_number = (1..=2).contains(&number.len()) && number.bytes().all(|c| c.is_ascii_digit());
    parts.len() >= 2 && text.len() <= 32 && is_number && parts.iter().all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_belongs_to_one_partition() {
        for (region, domain) in [
            ("us-east-1", "amazonaws.com"),
            ("ap-southeast-7", "amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com"),
            ("cn-northwest-1", "amazonaws.com.cn"),
            ("eusc-de-east-1", "amazonaws.eu"),
            ("us-iso-west-1", "c2s.ic.gov"),
            ("us-isob-east-1", "sc2s.sgov.gov"),
            ("us-isof-south-1", "csp.hci.ic.gov"),
            ("eu-isoe-west-1", "cloud.adc-e.uk"),
        ] {
            assert_eq!(Partition::of(region).map(|partition| partition.domain), Some(domain), "{region}");
        }
    }

    #[test]
    fn what_could_be_anybody_s_name_is_no_region() {
        for text in [
            "",
            "s3",
            "elb",
            "us-east",
            "us-east-",
            "us--1",
            "1",
            "us-east-1a",
            "us_east_1",
            "US-EAST-1",
            "us-east-1.evil",
            "us-east-100",
            "east-1",
        ] {
            assert_eq!(Partition::of(text), None, "{text}");
        }
    }
}
