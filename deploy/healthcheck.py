"""Asks a Tollgate process, from inside its own container, whether it serves: exit 0 or 1.

Reads the process's own configuration: a service is asked over gRPC's health service with the
process's certificate, the edge over HTTP.
"""

import sys
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

TIMEOUT_S = 3.0
SUFFIX = ".tollgate.internal"


def serves(path: Path) -> bool:
    settings = tomllib.loads(path.read_text(encoding="utf-8"))
    if "rpc" not in settings:
        port = settings["api"]["listen"].rpartition(":")[2]
        url = f"http://127.0.0.1:{port}/health/ready"
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    return _rpc_serves(path, settings["rpc"])


def _rpc_serves(path: Path, rpc: dict[str, Any]) -> bool:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    tls = {name: (path.parent / file).read_bytes() for name, file in rpc["tls"].items()}
    credentials = grpc.ssl_channel_credentials(tls["ca"], tls["key"], tls["cert"])
    options = [("grpc.ssl_target_name_override", path.stem + SUFFIX)]
    address = f"127.0.0.1:{rpc['listen'].rpartition(':')[2]}"
    with grpc.secure_channel(address, credentials, options=options) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S
        )
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    try:
        sys.exit(0 if serves(Path(sys.argv[1])) else 1)
    except Exception as error:
        print(f"not serving: {type(error).__name__}", file=sys.stderr)
        sys.exit(1)
