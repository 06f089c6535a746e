"""The chassis every Tollgate service stands on.

It owns what all services do alike: configuration, secrets, logs, metrics, lifecycle, mutual-TLS
RPC and its sessions, migrations, time and ids, the keyring seam and the producer side of the
audit log. It knows no service and holds no business rule.
"""
