"""Reads request bodies, as far as money depends on them, and writes those that go upstream."""
