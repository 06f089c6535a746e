# Its own certificate, and nothing of transit.
path "pki/issue/tollgate-edge-api" {
  capabilities = ["update"]
}
