"""Tenants and what is theirs, groups and keys: the records, their store, and its changes."""
