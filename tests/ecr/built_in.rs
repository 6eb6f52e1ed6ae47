//! The built-in default: private hosts by the SDK's own credential chain, quiet for everything else.

use std::time::{Duration, Instant};

use super::{HOST, TOKEN, keyed, public};
use crate::support::Helper;
use crate::support::agent::Agent;
use crate::support::recorder::Recorder;
use crate::support::servers::Moto;

#[test]
fn private_hosts_are_answered_with_no_config_at_all() {
    let Some(moto) = Moto::find() else { return };
    let aws = Recorder::to(&moto.url);
    let helper = keyed(Helper::new()).env("AWS_ENDPOINT_URL", aws.url());
    let cn = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn";
    for host in [HOST, "123456789012.dkr-ecr-fips.us-east-1.on.aws", cn] {
        helper.get(host).is_found(host, "AWS", TOKEN);
    }
}

#[test]
fn nothing_else_is_asked_for_and_nothing_is_listed() {
    let aws = public();
    let helper = keyed(Helper::new()).env("AWS_ENDPOINT_URL", aws.url());
    for asked in
        ["public.ecr.aws", "ecr-public.aws.com", "ghcr.io", "docker.io", "x.dkr.ecr.us-east-1.amazonaws.com"]
    {
        helper.get(asked).is_not_found();
    }
    assert_eq!(helper.list().stdout, "{}\n");
    assert!(aws.exchanges().is_empty());
}

#[test]
fn without_aws_credentials_the_cause_is_said_soon() {
    // The instance's metadata would be asked once, for a second; here it is switched off, as in any container.
    let started = Instant::now();
    Helper::new()
        .get(HOST)
        .fails_with(&["ecr: 123456789012 in us-east-1: no AWS credentials", "hint: set AWS_ACCESS_KEY_ID"]);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[test]
fn a_login_of_the_user_s_own_comes_first() {
    let aws = public();
    let agent = Agent::start();
    let helper = agent.serves(keyed(Helper::new())).env("AWS_ENDPOINT_URL", aws.url());
    helper.store(HOST, "AWS", "my-token").is_silent();
    helper.get(HOST).is_found(HOST, "AWS", "my-token");
    // Another user is nobody that ECR knows, and still whom somebody means.
    helper.store(HOST, "proxy", "my-token").is_silent();
    helper.get(HOST).is_found(HOST, "proxy", "my-token");
    helper.erase(HOST).is_silent();
    assert!(aws.exchanges().is_empty());
    helper.get(HOST).fails_with(&["ecr: "]);
    assert_eq!(aws.exchanges().len(), 1);
}
