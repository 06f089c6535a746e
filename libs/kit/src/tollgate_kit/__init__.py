"""The chassis every Tollgate service stands on.

It owns what all services do alike: configuration, secrets, logs, metrics, lifecycle, mutual-TLS
RPC and its sessions, migrations, time and ids, the keyring seam and the producer side of the
audit log. It knows no service and holds no business rule.
"""

import os

# gRPC's C core writes lines of its own to stderr (a failed handshake with a port scanner, say),
# which are not JSON and not ours; what matters comes back as a status. Set before it is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
