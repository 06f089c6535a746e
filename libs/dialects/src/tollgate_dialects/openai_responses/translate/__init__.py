"""Responses told in other protocols, and other protocols told as responses."""
