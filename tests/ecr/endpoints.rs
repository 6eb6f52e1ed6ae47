//! Which name of AWS's is asked, in every region that AWS publishes, as its own Python SDK has it.

use std::process::{Command, Stdio};

use serde::Deserialize;

use super::{ANY, keyed};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::servers::setting;

/// Prints every region with its domains and the endpoints: plain, FIPS, dual-stack, both.
const PUBLISHED: &str = "
import json, re
from botocore.loaders import Loader
from botocore.endpoint_provider import EndpointProvider
loader = Loader()
partitions = loader.load_data('partitions')
def provider(service):
    return EndpointProvider(loader.load_service_model(service, 'endpoint-rule-set-1'), partitions)
def urls(provider, region):
    ways = [(fips, dual) for dual in (False, True) for fips in (False, True)]
    resolve = lambda fips, dual: provider.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual).url
    return [resolve(*way) for way in ways]
ecr, public = provider('ecr'), provider('ecr-public')
regions = []
for partition in partitions['partitions']:
    outputs = partition['outputs']
    for region in partition['regions']:
        if re.match(partition['regionRegex'], region):
            regions.append({'region': region, 'domain': outputs['dnsSuffix'],
                            'dual_stack': outputs['dualStackDnsSuffix'], 'urls': urls(ecr, region)})
print(json.dumps({'regions': regions, 'public': urls(public, 'us-east-1')}))
";

#[derive(Deserialize)]
struct Published {
    regions: Vec<Region>,
    public: Vec<String>,
}

#[derive(Deserialize)]
struct Region {
    region: String,
    domain: String,
    dual_stack: String,
    urls: Vec<String>,
}

/// `None` where there is no Python that has it: the test is skipped.
fn published() -> Option<Published> {
    let python = setting("TEST_PYTHON")?;
    let output = Command::new(python)
        .args(["-I", "-c", PUBLISHED])
        .env_clear()
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Whom the helper wants to reach for the host, as a proxy that lets nobody through hears it.
fn reached(host: &str, fips: bool, dual_stack: bool) -> String {
    let proxy = Hostile::answering(502, "", "");
    let config = format!("{ANY}[aws.default]\nfips = {fips}\ndual-stack = {dual_stack}\n");
    let helper = keyed(Helper::with_config(&config)).env("HTTPS_PROXY", proxy.url());
    helper.get(host).fails_with(&["ecr: ", "through the proxy"]);
    let heard = proxy.heard().concat();
    let authority = heard.strip_prefix("CONNECT ").and_then(|rest| rest.split_once(":443 "));
    authority.unwrap_or_else(|| panic!("{host}: {heard}")).0.to_owned()
}

#[test]
fn every_published_region_is_asked_at_its_own_endpoint() {
    let Some(Published { regions, public }) = published() else { return };
    assert!(regions.len() > 45, "{}", regions.len());
    let mut wrong = Vec::new();
    // Each region with one way; each way with many regions, those of small partitions with all.
    for (at, Region { region, domain, dual_stack, urls }) in regions.iter().enumerate() {
        let common = domain == "amazonaws.com" && !region.starts_with("us-");
        let on = dual_stack.replacen("api.", "on.", 1);
        let hosts = [
            format!("dkr.ecr.{region}.{domain}"),
            format!("dkr.ecr-fips.{region}.{domain}"),
            format!("dkr-ecr.{region}.{on}"),
            format!("dkr-ecr-fips.{region}.{on}"),
        ];
        for way in (0..4).filter(|way| !common || *way == at % 4) {
            // The host's form says nothing of the endpoint: what the connection says does.
            let host = format!("123456789012.{}", hosts[(way + at) % 4]);
            let name = reached(&host, way % 2 == 1, way / 2 == 1);
            if urls[way] != format!("https://{name}") {
                wrong.push(format!("{host}: {name}, not {}", urls[way]));
            }
        }
    }
    // There is no endpoint of both kinds for the public one, whatever the rules say.
    for (way, url) in public.iter().enumerate().take(3) {
        let name = reached("public.ecr.aws", way % 2 == 1, way / 2 == 1);
        if *url != format!("https://{name}") {
            wrong.push(format!("public.ecr.aws: {name}, not {url}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
