//! Tokens for Amazon ECR: which hosts get one, for which account and region, and how it is asked for.

mod built_in;
mod endpoints;
mod refusals;
mod requests;
mod sharing;

use serde_json::{Value, json};

use crate::support::Helper;
use crate::support::recorder::{Exchange, Recorder, Reply};
use crate::support::servers::Moto;

/// The account that moto plays, and what it gives for it.
const ACCOUNT: &str = "123456789012";
const TOKEN: &str = "123456789012-auth-token";
const HOST: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
const ANY: &str = "[registry.\"*\"]\nsource = \"ecr\"\n";

/// A rule for the pattern, with these keys beside its source.
fn rule(pattern: &str, keys: &str) -> String {
    format!("[registry.\"{pattern}\"]\nsource = \"ecr\"\n{keys}\n")
}

/// A helper that takes the recorder for AWS.
fn helper(aws: &Recorder, config: &str) -> Helper {
    keyed(Helper::with_config(config)).env("AWS_ENDPOINT_URL", aws.url())
}

fn keyed(helper: Helper) -> Helper {
    helper.envs(&[("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "not-a-real-key")])
}

/// The region and the service that the request was signed for.
fn scope(exchange: &Exchange) -> (String, String) {
    let scope = exchange.header("authorization").split_once("Credential=").map_or("", |(_, rest)| rest);
    let mut parts = scope.split('/').skip(2).map(str::to_owned);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// Accounts and regions of everything that was asked so far.
fn asked(aws: &Recorder) -> Vec<(Value, String)> {
    let body = |exchange: &Exchange| serde_json::from_str::<Value>(&exchange.body).unwrap();
    aws.exchanges().iter().map(|one| (body(one)["registryIds"].clone(), scope(one).0)).collect()
}

/// The public service, which moto does not play; its token's password is `public`.
fn public() -> Recorder {
    Recorder::alone(|_| {
        // AWS:public
        let token = json!({"authorizationToken": "QVdTOnB1YmxpYw==", "expiresAt": 4_102_444_800.25_f64});
        Reply::new(200, json!({ "authorizationData": token }).to_string())
    })
}

#[test]
fn every_form_of_a_private_host_gets_its_account_s_token() {
    let Some(moto) = Moto::find() else { return };
    let aws = Recorder::to(&moto.url);
    let helper = helper(&aws, ANY);
    for (rest, region) in [
        ("dkr.ecr.us-east-1.amazonaws.com", "us-east-1"),
        ("dkr.ecr-fips.us-east-2.amazonaws.com", "us-east-2"),
        ("dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
        ("dkr-ecr-fips.us-gov-west-1.on.aws", "us-gov-west-1"),
        ("dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    ] {
        let host = format!("999988887777.{rest}");
        for spelled in [host.clone(), format!("https://{host}"), format!("{host}/team/app:1")] {
            helper.get(&spelled).is_found(&spelled, "AWS", "999988887777-auth-token");
        }
        assert_eq!(asked(&aws).pop(), Some((json!(["999988887777"]), region.to_owned())), "{host}");
    }
    let sent = aws.exchanges().pop().unwrap();
    assert_eq!(sent.header("x-amz-target"), "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken");
    assert_eq!(scope(&sent).1, "ecr");
}

#[test]
fn the_public_registry_has_a_service_of_its_own_in_one_region() {
    let aws = public();
    let helper = helper(&aws, ANY).env("AWS_REGION", "eu-west-1");
    helper.get("public.ecr.aws").is_found("public.ecr.aws", "AWS", "public");
    helper.get("ecr-public.aws.com/acme/app").is_found("ecr-public.aws.com/acme/app", "AWS", "public");
    for sent in aws.exchanges() {
        assert_eq!(sent.header("x-amz-target"), "SpencerFrontendService.GetAuthorizationToken");
        assert_eq!(scope(&sent), ("us-east-1".to_owned(), "ecr-public".to_owned()));
        assert_eq!(sent.body, "{}");
    }
}

#[test]
fn account_and_region_of_the_rule_count_before_those_of_the_host() {
    let Some(moto) = Moto::find() else { return };
    let aws = Recorder::to(&moto.url);
    let keys = "account = \"111122223333\"\nregion = \"eu-central-1\"";
    for pattern in ["cache.example.com", "localhost:5000", HOST] {
        helper(&aws, &rule(pattern, keys)).get(pattern).is_found(pattern, "AWS", "111122223333-auth-token");
        assert_eq!(asked(&aws).pop(), Some((json!(["111122223333"]), "eu-central-1".to_owned())));
    }
}

#[test]
fn the_region_of_an_alias_is_the_connection_s_the_environment_s_or_the_profile_s() {
    let Some(moto) = Moto::find() else { return };
    let aws = Recorder::to(&moto.url);
    let alias = rule("cache.example.com", "account = \"123456789012\"");
    let is_asked_in = |helper: &Helper, region: &str| {
        helper.get("cache.example.com").is_found("cache.example.com", "AWS", TOKEN);
        assert_eq!(asked(&aws).pop().unwrap().1, region);
    };
    let stated = format!("{alias}[aws.default]\nregion = \"eu-west-3\"\n");
    is_asked_in(&helper(&aws, &stated).env("AWS_REGION", "us-west-2"), "eu-west-3");
    is_asked_in(&helper(&aws, &alias).env("AWS_REGION", "us-west-2"), "us-west-2");
    let profile = helper(&aws, &alias);
    std::fs::create_dir(profile.home().join(".aws")).unwrap();
    std::fs::write(profile.home().join(".aws/config"), "[default]\nregion = sa-east-1\n").unwrap();
    is_asked_in(&profile, "sa-east-1");
    helper(&aws, &alias)
        .get("cache.example.com")
        .fails_with(&["ecr: 123456789012: no AWS region", "hint: set region in the rule"]);
}

#[test]
fn any_other_host_is_not_found_and_nobody_is_asked() {
    let aws = public();
    let config = [ANY, &rule("registry.example.com", ""), &rule("*.pull.example.com", "")].concat();
    for asked in [
        "docker.io",
        "registry.example.com",
        "a.pull.example.com",
        "dkr.ecr.us-east-1.amazonaws.com",
        "12345678901.dkr.ecr.us-east-1.amazonaws.com",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example",
        "evil.example/123456789012.dkr.ecr.us-east-1.amazonaws.com",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com:8443",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com.",
        "123456789012.dkr.ecr.s3.amazonaws.com",
        "x.public.ecr.aws",
    ] {
        helper(&aws, &config).get(asked).is_not_found();
    }
    assert!(aws.exchanges().is_empty());
}

#[test]
fn what_is_no_host_of_ecr_is_another_rule_s() {
    let aws = public();
    let own = "[registry.\"*\"]\nsource = \"env\"\nusername = \"acme\"\npassword-env = \"TOKEN\"\nany-host = true\n";
    let config = [&rule("*.dkr.ecr.*.amazonaws.com", ""), own].concat();
    let helper = helper(&aws, &config).env("TOKEN", "t");
    let other = "x.dkr.ecr.us-east-1.amazonaws.com";
    helper.get(other).is_found(other, "acme", "t");
    helper.get("public.ecr.aws").is_found("public.ecr.aws", "acme", "t");
    assert!(aws.exchanges().is_empty());
}

#[test]
fn list_names_what_can_be_asked_for_and_asks_nobody() {
    let aws = public();
    let config = [
        ANY,
        &rule(HOST, ""),
        &rule("public.ecr.aws", ""),
        &rule("cache.example.com", "account = \"123456789012\""),
        &rule("registry.example.com", ""),
    ]
    .concat();
    let answer = helper(&aws, &config).list();
    let named: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(named, json!({HOST: "AWS", "cache.example.com": "AWS", "public.ecr.aws": "AWS"}));
    assert!(aws.exchanges().is_empty());
}

#[test]
fn a_login_as_aws_is_taken_and_keeps_nothing_and_another_user_is_refused() {
    let aws = public();
    let helper = helper(&aws, &rule("*.dkr.ecr.*.amazonaws.com", ""));
    helper.store(HOST, "AWS", "some-token").is_silent();
    let line = helper.store(HOST, "octocat", "g1ven");
    let line = line.fails_with(&["ecr: ", HOST, "the rule's user is AWS", "log in as AWS"]);
    assert!(!line.contains("g1ven"), "{line}");
    helper.erase(HOST).is_silent();
    assert!(aws.exchanges().is_empty());
}

#[test]
fn a_role_by_web_identity_takes_two_requests() {
    let Some(moto) = Moto::find() else { return };
    let aws = Recorder::to(&moto.url);
    let connection = "[aws.default]\nweb-identity = { env = \"JOB_TOKEN\" }\n\
                      role-arn = \"arn:aws:iam::123456789012:role/pull\"\n";
    // The token's own parts are not looked at by moto: {"exp":4102444800}
    let helper = Helper::with_config(&[ANY, connection].concat())
        .env("AWS_ENDPOINT_URL", aws.url())
        .env("JOB_TOKEN", "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2lnbmF0dXJl");
    helper.get(HOST).is_found(HOST, "AWS", TOKEN);
    assert_eq!(aws.actions(), ["AssumeRoleWithWebIdentity", "GetAuthorizationToken"]);
    assert!(!aws.exchanges()[1].header("x-amz-security-token").is_empty());
}

#[test]
fn a_rule_for_a_host_that_is_not_ecr_s_has_none_and_asks_nobody() {
    let aws = Recorder::alone(|_| Reply::new(500, String::new()));
    // Nor does a wider one answer in its stead.
    let wider =
        "[registry.\"*\"]\nsource = \"env\"\nusername = \"u\"\npassword-env = \"P\"\nany-host = true\n";
    let helper = helper(&aws, &(rule("cache.example.com", "") + wider)).env("P", "p");
    helper.get("cache.example.com").is_not_found();
    helper.store("cache.example.com", "AWS", "x").is_silent();
    helper.get("other.example.com").is_found("other.example.com", "u", "p");
    assert_eq!(helper.list().stdout, "{}\n");
    assert!(aws.exchanges().is_empty());
}
