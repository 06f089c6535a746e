"""Evidence: takes entries, orders them, publishes them as a signed Merkle log."""
