"""Reads deploy/topology.toml and makes from it: compose, configurations, databases, secrets."""
