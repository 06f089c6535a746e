# Vault as it runs in production: TLS, raft storage, sealed at start. Never `-dev`.
# Initialise and unseal it once by hand: `docker compose exec vault vault operator init`.
ui            = false
disable_mlock = true # raft maps its database; swap belongs off on the host instead
api_addr      = "https://vault.tollgate.internal:8200"
cluster_addr  = "https://vault.tollgate.internal:8201"

listener "tcp" {
  address         = "0.0.0.0:8200"
  tls_cert_file   = "/run/secrets/vault.pem"
  tls_key_file    = "/run/secrets/vault.key"
  tls_min_version = "tls13"
}

storage "raft" {
  path    = "/vault/file"
  node_id = "vault-1"
}
