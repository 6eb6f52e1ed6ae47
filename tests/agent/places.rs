//! A place that several registries share: what a client puts there, or takes away, is so for all of them.

use serde_json::json;

use crate::support::agent::Agent;
use crate::support::servers::Moto;

#[test]
fn a_login_at_one_registry_is_what_the_others_of_its_place_are_given() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(&json!({"username": "acme", "password": "old"}).to_string());
    let keys = format!(
        "source = \"aws-secrets-manager\"\nsecret = \"{name}\"\nstore = \"write\"\nerase = \"delete\"\n"
    );
    let rules = format!("[registry.\"*.corp.example.com\"]\n{keys}[registry.\"mirror.example.com\"]\n{keys}");
    let agent = Agent::start();
    let helper = agent.serves(moto.helper(&rules));
    let all = ["a.corp.example.com", "b.corp.example.com", "mirror.example.com"];
    for (asked_before, at) in [(&all[..1], all[1]), (&all[..2], all[2]), (&all[..], "c.corp.example.com")] {
        for host in asked_before {
            let _ = helper.get(host);
        }
        helper.store(at, "acme", &format!("new at {at}")).is_silent();
        for host in all {
            helper.get(host).is_found(host, "acme", &format!("new at {at}"));
        }
    }
    helper.erase("d.corp.example.com").is_silent();
    for host in all {
        helper.get(host).is_not_found();
    }
}
