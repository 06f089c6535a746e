# Signs checkpoints and reads the public half of their key; pseudonyms of the people in the log.
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
