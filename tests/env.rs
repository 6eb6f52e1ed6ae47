//! Credentials from the environment, and what answers where nobody wrote a config.

use crate::support::Helper;

const PAIR: [(&str, &str); 2] = [("DOCKER_USER", "acme"), ("DOCKER_ACCESS_TOKEN", "dckr_pat_1")];

#[test]
fn docker_hub_works_with_two_variables_and_nothing_else() {
    let helper = Helper::new().envs(&PAIR);
    for asked in [
        "docker.io",
        "https://index.docker.io/v1/",
        "index.docker.io/library/alpine",
        "registry-1.docker.io:443",
    ] {
        helper.get(asked).is_found(asked, "acme", "dckr_pat_1");
    }
    helper.get("ghcr.io").is_not_found();
}
