"""Tokens of a text, by the vendors' own vocabularies or by the dearest of the public ones."""
