"""Converse's part in translation."""
