# For whatever starts SERVICE: makes it a secret-id, which nobody but SERVICE gets to read. One
# policy for each service: a wildcard here would let one delivery open all of them.
path "auth/approle/role/tollgate-SERVICE/secret-id" {
  capabilities     = ["update"]
  min_wrapping_ttl = "15s"
  max_wrapping_ttl = "300s"
}
