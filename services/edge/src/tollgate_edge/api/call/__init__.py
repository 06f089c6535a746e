"""The steps of a governed call, and what became of it."""
