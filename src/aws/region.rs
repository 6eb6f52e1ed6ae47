//! Region: where AWS is asked, and who says so.

use aws_config::Region;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;

use super::{Connection, Login};
use crate::environment::Environment;
use crate::error::{Kind, Problem};

/// The cause where nobody names a region.
pub const NO_REGION: &str = "no AWS region";
/// The variables that name a region, in the SDK's own order.
const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

impl Connection {
    /// From the table, the environment or the profile, else the fallback (an ARN's, a registry's). Never from instance metadata:
    /// without it the SDK would wait for an address that no laptop and no CI job has.
    pub(super) async fn region(
        &self,
        environment: &Environment,
        fallback: Option<&str>,
    ) -> Result<Region, Problem> {
        let stated = self.region.clone();
        if let Some(region) = stated.or_else(|| region_of(environment)) {
            return Ok(Region::new(region));
        }
        let mut profile = ProfileFileRegionProvider::builder();
        if let Login::Profile(name) = &self.login {
            profile = profile.profile_name(name);
        }
        let fallback = || fallback.map(|region| Region::new(region.to_owned()));
        profile.build().region().await.or_else(fallback).ok_or_else(|| {
            Problem::new(Kind::Malformed, NO_REGION)
                .hint("set region in [aws.default] or the connection's own table, AWS_REGION, or give the secret as an ARN")
        })
    }
}

/// The region that the environment names.
pub fn region_of(environment: &Environment) -> Option<String> {
    environment.first(&REGION_VARIABLES).map(|(_, region)| region)
}

/// The region that an ARN names; `None` where the name is no ARN.
pub fn region_of_arn(name: &str) -> Option<&str> {
    let mut parts = name.split(':');
    let (arn, _partition, _service, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (arn == "arn" && !region.is_empty()).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::region_of_arn;

    #[test]
    fn an_arn_names_its_region() {
        assert_eq!(
            region_of_arn("arn:aws:secretsmanager:eu-west-1:111122223333:secret:hub-AbCdEf"),
            Some("eu-west-1")
        );
        assert_eq!(region_of_arn("arn:aws-cn:secretsmanager:cn-north-1:1:secret:x"), Some("cn-north-1"));
        assert_eq!(region_of_arn("prod/hub"), None);
        assert_eq!(region_of_arn("arn:aws:secretsmanager::1:secret:x"), None);
    }
}
