"""What each process of the embedded suite is configured with; deploy/config explains the fields.

Pure: addresses and paths in, documents out.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tollgate_cli import certificates
from tollgate_cli.deployment.toml_text import Value
from tollgate_cli.home import Home

Document = dict[str, Value]
# The name of the embedded suite's log, as its checkpoints carry it.
ORIGIN = "tollgate.local/log"
# gRPC service -> who may call it, by the service that serves it.
ALLOW: dict[str, dict[str, list[str]]] = {
    "authz": {
        "tollgate.authz.v1.AuthzService": ["edge-api"],
        "tollgate.authz.v1.AuthzAdminService": ["operator"],
    },
    "budget": {
        "tollgate.budget.v1.BudgetService": ["edge-api"],
        "tollgate.budget.v1.BudgetReadService": ["operator"],
        "tollgate.budget.v1.BudgetAdminService": ["operator"],
    },
    "router": {
        "tollgate.router.v1.RouterService": ["edge-api"],
        "tollgate.router.v1.RouterAdminService": ["operator"],
    },
    "audit": {
        "tollgate.audit.v1.AuditService": [
            "edge-api",
            "authz",
            "budget",
            "router",
            "edge-portal",
            "edge-console",
        ],
        "tollgate.audit.v1.AuditReceiptService": ["edge-api"],
        "tollgate.audit.v1.AuditReadService": ["operator"],
    },
}


@dataclass(frozen=True)
class Wiring:
    """Where everything of one suite is."""

    home: Home
    address: Callable[[str], str]
    metrics_address: Callable[[str], str]
    demo: bool

    def service(self, name: str) -> Document:
        """What every service with a store has."""
        return {
            "rpc": {
                "listen": self.address(name),
                "tls": self.tls(name),
                "allow": {service: list(callers) for service, callers in ALLOW[name].items()},
            },
            "metrics": {"listen": self.metrics_address(name)},
            "postgres": {"dsn_file": str(self.home.secrets / f"{name}-dsn")},
            "keyring": {
                "path": str(self.home.keyrings / f"{name}.json"),
                "unlock_file": str(self.home.keyrings / f"{name}.unlock"),
            },
        }

    def tls(self, identity: str) -> Document:
        files = certificates.files(self.home.certificates, identity)
        return {"ca": str(files.ca), "cert": str(files.cert), "key": str(files.key)}

    def peer(self, name: str) -> Document:
        return {"addresses": [self.address(name)], "identity": name}


def authz(wiring: Wiring) -> Document:
    return {**wiring.service("authz"), "audit": wiring.peer("audit")}


def budget(wiring: Wiring) -> Document:
    redis = {"url_file": str(wiring.home.secrets / "redis-url")}
    return {**wiring.service("budget"), "redis": redis, "audit": wiring.peer("audit")}


def router(wiring: Wiring) -> Document:
    # A suite on one machine may well have its models there, too (the demo provider, Ollama).
    catalogue = {"allow_private_upstreams": True, "demo_prices": wiring.demo}
    return {**wiring.service("router"), "audit": wiring.peer("audit"), "catalogue": catalogue}


def audit(wiring: Wiring) -> Document:
    log = {
        "origin": ORIGIN,
        "directory": str(wiring.home.worm),
        "verifier_key_path": str(wiring.home.verifier_key),
    }
    owner = {"dsn_path": str(wiring.home.secrets / "audit-owner-dsn")}
    return {**wiring.service("audit"), "owner": owner, "log": log}


def edge(wiring: Wiring, name: str) -> Document:
    return {
        "api": {"listen": wiring.address(name)},
        "metrics": {"listen": wiring.metrics_address(name)},
        "tls": wiring.tls("edge-api"),
        **{service: wiring.peer(service) for service in ("authz", "budget", "router", "audit")},
    }


def operator(wiring: Wiring) -> Document:
    """operator.toml, which the CLI reads."""
    return {
        "tls": wiring.tls("operator"),
        **{service: wiring.peer(service) for service in ("authz", "budget", "router", "audit")},
        "evidence": {
            "directory": str(wiring.home.worm),
            "verifier_key": str(wiring.home.verifier_key),
        },
    }
