"""Egress: the only process that holds upstream keys and calls providers."""
