"""Headers that come, headers that go, and whose address it is. Pure."""
