# Signs checkpoints and reads the public half of their key; pseudonyms of the people in the log, whose
# keys it moves to a newer version of what encrypts them, too.
path "transit/sign/tlog" {
  capabilities = ["update"]
}
path "transit/keys/tlog" {
  capabilities = ["read"]
}
path "transit/encrypt/subject-keys" {
  capabilities = ["update"]
}
path "transit/decrypt/subject-keys" {
  capabilities = ["update"]
}
path "transit/rewrap/subject-keys" {
  capabilities = ["update"]
}
