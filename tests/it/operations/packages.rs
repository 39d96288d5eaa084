//! The files that the service is started by: systemd's own tool reads the unit; the Compose file and the Kubernetes objects are held to
//! what the service needs. Neither Compose nor a cluster runs them here.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use agent_websocket::config::SECTIONS;
use serde::Deserialize;
use serde_json::Value;

use super::file;
use crate::support::tool;
use crate::tidy::read;

/// The documents of a YAML file, with what they merge.
fn documents(path: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(&read(path))
        .map(|document| {
            let mut value = serde_yaml_ng::Value::deserialize(document).unwrap();
            value.apply_merge().unwrap();
            serde_json::to_value(value).unwrap()
        })
        .collect()
}

fn compose() -> Value {
    documents("docker-compose.yml").remove(0)
}

/// The Kubernetes object of a kind.
fn object(kind: &str) -> Value {
    documents("deploy/kubernetes/agent-websocket.yaml")
        .into_iter()
        .find(|object| object["kind"] == kind)
        .unwrap_or_else(|| panic!("no {kind}"))
}

fn settings() -> BTreeSet<&'static str> {
    SECTIONS
        .iter()
        .flat_map(|section| section.settings)
        .map(|setting| setting.name)
        .collect()
}

/// Checks that all names are settings of ours.
fn are_settings(place: &str, values: &Value) {
    for name in values.as_object().unwrap().keys() {
        assert!(settings().contains(name.as_str()), "{place}: no setting {name}");
    }
}

fn number(text: &str) -> u64 {
    text.trim_end_matches('s').parse().unwrap()
}

/// The default of `DRAIN_SECONDS`, and the ten seconds that a node takes at most after it.
fn drain_seconds() -> u64 {
    let mut all = SECTIONS.iter().flat_map(|section| section.settings);
    let drain = all.find(|setting| setting.name == "DRAIN_SECONDS").unwrap();
    number(drain.default) + 10
}

#[test]
fn systemd_finds_nothing_to_complain_about_in_the_unit() {
    let unit = read("deploy/systemd/agent-websocket.service");
    let stop = unit
        .lines()
        .find_map(|line| line.strip_prefix("TimeoutStopSec="))
        .unwrap();
    assert!(number(stop) > drain_seconds());
    let Some(analyze) = tool::find("systemd-analyze") else {
        return;
    };
    // It wants to see the program, which is installed nowhere here.
    let installed = "/usr/local/bin/agent-websocket";
    assert!(unit.contains(&format!("ExecStart={installed} serve\n")));
    let unit = unit.replace(installed, env!("CARGO_BIN_EXE_agent-websocket"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent-websocket.service");
    fs::write(&path, unit).unwrap();
    let mut command = Command::new(analyze);
    command
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(path);
    assert_eq!(tool::run(&mut command, ""), "", "systemd-analyze verify");
}

#[test]
fn the_compose_files_nodes_are_confined_and_have_time_to_drain() {
    let services = compose()["services"].clone();
    for name in ["agent-1", "agent-2"] {
        let node = &services[name];
        are_settings(name, &node["environment"]);
        assert_eq!(node["read_only"], true);
        assert_eq!(node["cap_drop"][0], "ALL");
        assert!(node["ports"].is_null(), "only the proxy is reached from outside");
        assert!(number(node["stop_grace_period"].as_str().unwrap()) > drain_seconds());
        assert_eq!(
            node["depends_on"]["migrate"]["condition"],
            "service_completed_successfully"
        );
        let secret = node["environment"]["JWT_SECRET"].as_str().unwrap();
        assert!(secret.contains(":?"), "a secret has no default: {secret}");
    }
    for (name, service) in services.as_object().unwrap() {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
    assert_eq!(services["prometheus"]["profiles"][0], "watch");
    assert_eq!(services["grafana"]["profiles"][0], "watch");
}

#[test]
fn what_the_compose_file_names_is_there() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let from = volume.as_str().unwrap().split(':').next().unwrap();
            let known = if from.starts_with("./") {
                file(from).exists()
            } else {
                compose["volumes"].as_object().unwrap().contains_key(from)
            };
            assert!(known, "{name}: {from}");
        }
        let needed = match &service["depends_on"] {
            Value::Object(needed) => needed.keys().cloned().collect(),
            Value::Array(needed) => needed
                .iter()
                .map(|name| name.as_str().unwrap().to_owned())
                .collect(),
            _ => Vec::new(),
        };
        for other in needed {
            assert!(services.contains_key(&other), "{name} depends on {other}");
        }
    }
    for node in ["agent-1", "agent-2"] {
        assert!(read("deploy/compose/upstream.conf").contains(&format!("server {node}:8080;")));
        assert!(read("deploy/prometheus/prometheus.yml").contains(&format!("{node}:9090")));
    }
    let upstream = documents("deploy/grafana/provisioning/datasources/prometheus.yml");
    assert_eq!(upstream[0]["datasources"][0]["url"], "http://prometheus:9090");
}

#[test]
fn kubernetes_probes_confines_and_drains_the_nodes() {
    let deployment = object("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let node = &pod["containers"][0];
    assert_eq!(node["livenessProbe"]["httpGet"]["path"], "/healthz");
    assert_eq!(node["readinessProbe"]["httpGet"]["path"], "/readyz");
    let pause = node["lifecycle"]["preStop"]["exec"]["command"][1]
        .as_str()
        .unwrap();
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > number(pause) + drain_seconds());
    assert_eq!(
        deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"],
        0
    );
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    for container in [node, &pod["initContainers"][0]] {
        let confined = &container["securityContext"];
        assert_eq!(confined["readOnlyRootFilesystem"], true);
        assert_eq!(confined["allowPrivilegeEscalation"], false);
        assert_eq!(confined["capabilities"]["drop"][0], "ALL");
    }
    let user = pod["securityContext"]["runAsUser"].as_u64().unwrap();
    assert!(read("Dockerfile").contains(&format!("\nUSER {user}\n")));
    are_settings("ConfigMap", &object("ConfigMap")["data"]);
}

#[test]
fn kubernetes_objects_find_each_other() {
    let deployment = object("Deployment");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert!(labels.is_object());
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&object("Service")["spec"]["selector"], labels);
    assert_eq!(
        &object("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        labels
    );
    let ports: BTreeSet<&str> = deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["name"].as_str().unwrap())
        .collect();
    assert_eq!(ports, BTreeSet::from(["admin", "http"]));
    assert_eq!(object("Service")["spec"]["ports"][0]["targetPort"], "http");
}

#[test]
fn the_image_is_built_of_what_its_ignore_file_lets_through() {
    let ignored = read(".dockerignore");
    for line in read("Dockerfile").lines() {
        if let Some(paths) = line.strip_prefix("COPY ").filter(|rest| !rest.starts_with("--")) {
            let (from, _) = paths.rsplit_once(' ').unwrap();
            for path in from.split(' ') {
                assert!(ignored.contains(&format!("!{path}\n")), "{path} is ignored");
                assert!(file(path).exists(), "{path}");
            }
        }
    }
}
