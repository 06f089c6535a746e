# Opens upstream keys, moves them to a newer version of their key, and unwraps the key by which it
# knows budget's reservations. It cannot encrypt an upstream key: that is another login's.
path "transit/decrypt/upstream-keys" {
  capabilities = ["update"]
}
path "transit/rewrap/upstream-keys" {
  capabilities = ["update"]
}
path "transit/decrypt/reservation" {
  capabilities = ["update"]
}
