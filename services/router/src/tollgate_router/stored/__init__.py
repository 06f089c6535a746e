"""Responses that an upstream keeps: whose they are, and what may be asked about them."""
