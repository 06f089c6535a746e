# Unwraps the pepper of virtual keys once, and opens the secrets of OpenID clients.
path "transit/decrypt/pepper" {
  capabilities = ["update"]
}
path "transit/decrypt/oidc-client" {
  capabilities = ["update"]
}
