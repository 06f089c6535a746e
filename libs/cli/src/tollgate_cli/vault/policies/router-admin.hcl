# Takes new upstream keys in, and can open none. `update` alone: `create` would make a missing key.
path "transit/encrypt/upstream-keys" {
  capabilities = ["update"]
}
