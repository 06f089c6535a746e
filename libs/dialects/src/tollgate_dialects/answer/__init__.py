"""Reads answers: meters their usage, drops what no schema lists, words upstream errors."""
