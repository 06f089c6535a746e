"""The parts of docker-compose.yml that the topology decides, as text. Pure.

Not here: what an engine's image is and how it is run, and what all our containers may not do.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from tollgate_cli.certificates import SUFFIX
from tollgate_cli.deployment import containers
from tollgate_cli.deployment.topology import Topology

_HEALTHCHECK = "/venv/bin/python, /usr/local/lib/tollgate/healthcheck.py"
_NETWORK_OPTIONS = {
    "clients": 'driver_opts: { com.docker.network.bridge.enable_ip_masquerade: "false" }',
    "rpc": "internal: true",
    "stores": "internal: true",
}
# The volume that the log is published to.
_EVIDENCE = f"evidence:{containers.STATE}"


def parts(topology: Topology) -> Mapping[str, str]:
    """Name of a marked part -> its lines."""
    engines = {name: "\n".join(_engine(topology, name)) for name in topology.engines}
    migrations = [_migration(topology, name) for name in topology.database_owners]
    services = [_service(topology, name) for name in topology.contained]
    return {
        **engines,
        "processes": "\n\n".join("\n".join(lines) for lines in (*migrations, *services)),
        "networks": "\n".join(_networks(topology)),
        "volumes": "\n".join(_volumes(topology)),
        "secrets": "\n".join(_secrets(topology)),
    }


def _engine(topology: Topology, name: str) -> Iterator[str]:
    engine = topology.engines[name]
    if engine.holds == "database":
        yield "secrets:"
        yield f"  - {containers.SUPERUSER_PASSWORD}"
        yield from (f"  - {containers.password_file(role)}" for role in topology.roles)
    if engine.certificate:
        yield "networks:"
        yield f"  {engine.network}: {{ aliases: [{name}{SUFFIX}] }}"
    else:
        yield f"networks: [{engine.network}]"


def _migration(topology: Topology, name: str) -> Iterator[str]:
    database = topology.engine("database")
    yield f"{name}-migrate:"
    yield "  <<: *migration"
    yield from _image(name)
    yield from _mounts(topology, name, migration=True)
    yield f"  networks: [{topology.engines[database].network}]"
    yield "  depends_on:"
    yield f"    {database}: {{ condition: service_healthy }}"


def _service(topology: Topology, name: str) -> Iterator[str]:
    process = topology.processes[name]
    yield f"{name}:"
    yield "  <<: *service"
    if process.command_line:
        yield f"  # `docker compose run --rm {name} tenant list`"
        yield f"  profiles: [{name}]"
        yield '  restart: "no"'
        yield "  environment:"
        yield f"    TOLLGATE_HOME: {containers.CONFIG}"
        if process.delivers and topology.has_vault:
            vault = topology.engine("keyring")
            yield f"    VAULT_ADDR: https://{vault}{SUFFIX}:{topology.engines[vault].port}"
            yield f"    VAULT_CACERT: {containers.ROOT}/certs/ca.pem"
    yield from _image(name)
    yield from _mounts(topology, name)
    if process.http_port:
        yield "  # Loopback unless said otherwise: TLS ends at the proxy in front."
        listens = f"${{TOLLGATE_API_LISTEN:-127.0.0.1:{process.http_port}}}"
        yield f'  ports: ["{listens}:{process.http_port}"]'
    yield f"  networks: [{', '.join(topology.networks_of(name))}]"
    if not process.command_line:
        yield from _start(topology, name)


def _image(name: str) -> Iterator[str]:
    yield f"  build: {{ context: ., dockerfile: deploy/Dockerfile, target: {name} }}"
    yield f"  image: tollgate/{name}"


def _mounts(topology: Topology, name: str, *, migration: bool = False) -> Iterator[str]:
    process = topology.processes[name]
    if migration and len(topology.roles_of(name)) > 1:
        yield "  # The owner's password is here alone: the service's own role owns nothing."
    yield "  secrets:"
    for path in containers.mounted(topology, name, migration=migration):
        source = PurePosixPath(path).name
        yield f"    - {{ source: {source}, target: {containers.ROOT / path} }}"
    yield "  volumes:"
    yield f"    - ./deploy/config/{name}.toml:{containers.CONFIG}/{name}.toml:ro"
    # Not of a migration: it has no keys. A secret-id is removed by the service that used it.
    if "keyring" in process.stores and topology.has_vault and not migration:
        yield f"    - ${{TOLLGATE_SECRETS:?}}/vault/{name}:{containers.VAULT}"
    if process.delivers and topology.has_vault:
        yield f"    - ${{TOLLGATE_SECRETS:?}}/vault:{containers.VAULT}"
    if "evidence" in process.stores and not migration:
        yield f"    - {_EVIDENCE}"
    if "evidence" in process.reads:
        yield f"    - {_EVIDENCE}:ro"


def _start(topology: Topology, name: str) -> Iterator[str]:
    yield "  depends_on:"
    if name in topology.database_owners:
        yield f"    {name}-migrate: {{ condition: service_completed_successfully }}"
    for other in (*topology.processes[name].waits_for, *topology.callees(name)):
        yield f"    {other}: {{ condition: service_healthy }}"
    yield "  healthcheck:"
    yield "    <<: *healthcheck"
    yield f"    test: [CMD, {_HEALTHCHECK}, {containers.CONFIG}/{name}.toml]"


def _networks(topology: Topology) -> Iterator[str]:
    for name, network in topology.networks.items():
        yield f"# {network.about}"
        options = _NETWORK_OPTIONS.get(network.kind)
        yield f"{name}: {{ {options} }}" if options else f"{name}: {{}}"


def _volumes(topology: Topology) -> Iterator[str]:
    yield from (f"{name}:" for name, engine in topology.engines.items() if engine.volume)
    yield f"{_EVIDENCE.partition(':')[0]}:"


def _secrets(topology: Topology) -> Iterator[str]:
    paths = [
        path
        for name in topology.contained
        for path in containers.mounted(topology, name, migration=True)
    ]
    for name, engine in topology.engines.items():
        if engine.certificate:
            paths += [f"certs/{name}.pem", f"certs/{name}.key"]
    roles = (containers.SUPERUSER_PASSWORD, *map(containers.password_file, topology.roles))
    paths += [f"secrets/{password}" for password in roles]
    # Compose reads the first one first: it says what to do.
    missing = "make them first, see the head of docker-compose.yml"
    for path in dict.fromkeys(paths):
        yield f'{PurePosixPath(path).name}: {{ file: "${{TOLLGATE_SECRETS:?{missing}}}/{path}" }}'
        missing = ""
