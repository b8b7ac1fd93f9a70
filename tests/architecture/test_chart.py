"""The chart renders under every set of values in ci/, and keeps the promises of the four walls.

Rendered by Helm's own library, offline; validated against Kubernetes' schemas.
"""

import importlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest
import yaml
from pydantic_settings import BaseSettings

from config.environment import Environment
from matcher.settings import Settings as MatcherSettings

CHART = Path(__file__).resolve().parents[2] / "helm" / "keystead"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
COMPONENTS = ("api", "gateway", "worker", "provisioner", "relay", "matcher", "migrate")
KUBERNETES_VERSIONS = ("1.28", "1.34")
Resource = dict[str, Any]


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def render(values: Mapping[str, Any]) -> list[Resource]:
    with helm.Chart.load(str(CHART)) as chart:
        files = chart.render(dict(values), name="acceptance", namespace="keystead")
    return [resource for text in files.values() for resource in yaml.safe_load_all(text) if resource]


def component_of(resource: Resource) -> str:
    return resource["metadata"]["labels"]["app.kubernetes.io/component"]


def pods(resources: list[Resource]) -> dict[str, Any]:
    """The pod's spec of each component."""
    return {
        component_of(resource): resource["spec"]["template"]["spec"]
        for resource in resources
        if resource["kind"] in {"Deployment", "Job"}
    }


def containers(pod: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def variables(pod: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for container in containers(pod) for variable in container["env"]}


@pytest.fixture(params=VALUES, ids=lambda path: path.stem)
def resources(request: pytest.FixtureRequest) -> list[Resource]:
    return render(load(request.param))


@pytest.fixture
def full() -> list[Resource]:
    return render(load(CHART / "ci" / "full-values.yaml"))


def test_there_is_a_folder_per_component() -> None:
    assert {path.name for path in (CHART / "templates").iterdir() if path.is_dir()} == set(COMPONENTS)


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_every_resource_is_valid(resources: list[Resource], version: str) -> None:
    assert resources
    for resource in resources:
        kubernetes_validate.validate(resource, version, strict=True)


def test_an_invalid_resource_would_be_noticed(full: list[Resource]) -> None:
    deployment = next(resource for resource in full if resource["kind"] == "Deployment")
    deployment["spec"]["replicaCount"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES_VERSIONS[0], strict=True)


@pytest.mark.parametrize("path", VALUES, ids=lambda path: path.stem)
def test_helm_lint_has_nothing_to_say(path: Path) -> None:
    report = helm.lint(str(CHART), load(path), strict=True)
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []


def test_no_two_resources_share_a_name(resources: list[Resource]) -> None:
    names = [(resource["kind"], resource["metadata"]["name"]) for resource in resources]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ({"replicaCount": 3}, "replicaCount"),
        ({"api": {"replica": 3}}, "replica"),
        ({"kms": {"biometricURL": "file:///keys"}}, "biometricURL"),
        ({"database": {"owner": {"secret": "x"}}}, "secret"),
        ({"migrate": {"bootstrap": {"enable": True}}}, "enable"),
        ({"baseUrl": "http://keystead.example"}, "baseUrl"),
        ({"logLevel": "LOUD"}, "logLevel"),
        ({"kms": {"url": ""}}, "kms"),
        ({"database": {"app": {"existingSecret": ""}}}, "existingSecret"),
    ],
)
def test_an_unknown_or_impossible_value_is_refused(where: dict[str, Any], named: str) -> None:
    values = load(CHART / "ci" / "minimal-values.yaml")
    for key, value in where.items():
        values[key] = merged(values.get(key), value)
    with pytest.raises(helm.HelmError, match=named):
        render(values)


def merged(base: Any, over: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return base | {key: merged(base.get(key), value) for key, value in over.items()}


def test_the_bare_defaults_ask_for_what_only_the_installer_knows() -> None:
    with pytest.raises(helm.HelmError, match="baseUrl"):
        render({})


def test_only_provisioner_and_migrate_hold_the_owners_login(resources: list[Resource]) -> None:
    holders = {name for name, pod in pods(resources).items() if "KEYSTEAD_OWNER_DATABASE_URL" in variables(pod)}
    assert holders == {"provisioner", "migrate"} & set(pods(resources))
    for name, pod in pods(resources).items():
        if name not in holders:
            assert "owner" not in yaml.safe_dump(pod)


def test_only_the_matcher_is_told_the_biometric_keys(full: list[Resource]) -> None:
    told = {name for name, pod in pods(full).items() if "biometric" in yaml.safe_dump(pod)}
    assert told == {"matcher"}
    identities = {
        component_of(resource): resource["metadata"].get("annotations", {})
        for resource in full
        if resource["kind"] == "ServiceAccount"
    }
    assert [name for name, annotations in identities.items() if "biometric" in str(annotations)] == ["matcher"]
    assert len({pod["serviceAccountName"] for pod in pods(full).values()}) == len(COMPONENTS)


def test_the_matcher_holds_no_key_that_could_call_it(full: list[Resource]) -> None:
    mounted = {
        name: [
            item["path"]
            for volume in pod["volumes"]
            if volume["name"] == "service-key"
            for item in volume["secret"]["items"]
        ]
        for name, pod in pods(full).items()
    }
    assert mounted.pop("matcher") == ["public.pem"]
    assert set(map(tuple, mounted.values())) == {("private.pem",)}
    assert {"KEYSTEAD_SECRET_KEY", "KEYSTEAD_REDIS_URL"}.isdisjoint(variables(pods(full)["matcher"]))


def test_the_matcher_is_reached_by_its_four_callers_alone(full: list[Resource]) -> None:
    policies = {component_of(resource): resource["spec"] for resource in full if resource["kind"] == "NetworkPolicy"}
    assert set(policies) == set(COMPONENTS)
    (rule,) = policies["matcher"]["ingress"]
    callers = [peer["podSelector"]["matchLabels"] for peer in rule["from"]]
    assert {labels["app.kubernetes.io/component"] for labels in callers} == {
        "api",
        "gateway",
        "worker",
        "provisioner",
    }
    assert all(set(peer) == {"podSelector"} for peer in rule["from"])
    assert all(labels["app.kubernetes.io/instance"] == "acceptance" for labels in callers)
    assert rule["ports"] == [{"protocol": "TCP", "port": 8100}]
    for silent in ("worker", "provisioner", "relay", "migrate"):
        assert policies[silent]["ingress"] == []


def test_pods_keep_to_the_restricted_standard(resources: list[Resource]) -> None:
    for pod in pods(resources).values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def test_no_secret_is_written_into_a_manifest(resources: list[Resource]) -> None:
    assert "Secret" not in {resource["kind"] for resource in resources}
    for pod in pods(resources).values():
        for name, variable in variables(pod).items():
            if name.endswith(("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "LOGIN_SECRET", "MAIL_URL")):
                assert set(variable) == {"name", "valueFrom"}, name


def environment(pod: Mapping[str, Any]) -> dict[str, str]:
    """What the process would see, with something of the right shape in place of each secret."""
    shapes = {
        "KEYSTEAD_DATABASE_URL": "postgresql://ks_app:x@db/keystead",
        "KEYSTEAD_OWNER_DATABASE_URL": "postgresql://ks_owner:x@db/keystead",
        "KEYSTEAD_REDIS_URL": "redis://valkey:6379/0",
        "KEYSTEAD_SECRET_KEY": "thirty-two characters and some more",
        "KEYSTEAD_LOGIN_SECRET": "thirty-two characters and some more",
        "KEYSTEAD_MAIL_URL": "smtps://keystead:x@mail.example",
    }
    (container,) = pod["containers"]
    return {variable["name"]: variable.get("value", shapes.get(variable["name"])) for variable in container["env"]}


def test_every_process_would_start_with_its_environment(
    resources: list[Resource], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("KEYSTEAD_")]:
        monkeypatch.delenv(name)
    for component, pod in pods(resources).items():
        model: type[BaseSettings] = MatcherSettings if component == "matcher" else Environment
        told = environment(pod)
        unknown = {name for name in told if name.removeprefix("KEYSTEAD_").lower() not in model.model_fields}
        assert unknown == set(), component
        with monkeypatch.context() as process:
            for name, value in told.items():
                process.setenv(name, value)
            assert isinstance(model(), model), component


def test_every_command_is_one_of_the_platforms(resources: list[Resource]) -> None:
    """What a pod runs exists: a console script that is locked or ours, or a module of ours."""
    scripts = {entry.name for entry in importlib.metadata.entry_points(group="console_scripts")}
    for component, pod in pods(resources).items():
        for container in containers(pod):
            program, *arguments = container["command"]
            if program == "python":
                assert arguments[0] == "-m", component
                assert importlib.util.find_spec(arguments[1]) is not None, component
            else:
                assert program in scripts, component
            for argument in arguments:
                module, colon, attribute = argument.partition(":")
                if colon:
                    assert hasattr(importlib.import_module(module), attribute), argument


def test_servers_are_probed_and_survive_a_drain(full: list[Resource]) -> None:
    for name, pod in pods(full).items():
        probes = {key for container in containers(pod) for key in container if key.endswith("Probe")}
        if name in {"api", "gateway", "matcher"}:
            assert probes == {"startupProbe", "livenessProbe", "readinessProbe"}, name
    budgets = {component_of(resource) for resource in full if resource["kind"] == "PodDisruptionBudget"}
    assert budgets == set(COMPONENTS) - {"migrate"}


def test_an_autoscaled_component_states_no_replicas(full: list[Resource]) -> None:
    scaled = {component_of(resource) for resource in full if resource["kind"] == "HorizontalPodAutoscaler"}
    assert scaled == {"api", "gateway", "worker"}
    for resource in full:
        if resource["kind"] == "Deployment":
            assert ("replicas" in resource["spec"]) == (component_of(resource) not in scaled)


def test_selectors_find_their_pods(resources: list[Resource]) -> None:
    labels = {
        component_of(resource): resource["spec"]["template"]["metadata"]["labels"]
        for resource in resources
        if resource["kind"] in {"Deployment", "Job"}
    }
    for resource in resources:
        spec = resource.get("spec", {})
        selector = {
            "Service": lambda spec: spec["selector"],
            "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
            "Deployment": lambda spec: spec["selector"]["matchLabels"],
        }.get(resource["kind"])
        if selector is not None:
            assert selector(spec).items() <= labels[component_of(resource)].items()


def test_devices_and_the_api_share_the_organizations_hosts(full: list[Resource]) -> None:
    (ingress,) = [resource for resource in full if resource["kind"] == "Ingress"]
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == "*.id.keystead.example"
    backends = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
    assert backends == {"/v1/gateway": "acceptance-gateway", "/": "acceptance-api"}


def test_the_proxies_in_front_reach_the_settings(full: list[Resource]) -> None:
    for component in ("api", "gateway"):
        found = variables(pods(full)[component])["KEYSTEAD_TRUSTED_PROXIES"]
        assert found["value"] == "10.42.0.0/16,fd00::/8"
