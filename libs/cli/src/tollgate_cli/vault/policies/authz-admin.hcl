# Takes secrets of OpenID clients in, and can open none.
path "transit/encrypt/oidc-client" {
  capabilities = ["update"]
}
