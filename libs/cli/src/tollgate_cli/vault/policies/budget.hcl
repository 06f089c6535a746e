# Unwraps, once, the key by which router knows its reservations.
path "transit/decrypt/reservation" {
  capabilities = ["update"]
}
