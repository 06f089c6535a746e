"""Names that are longer than somebody takes, told apart by their hashes."""

import hashlib


def fitted(name: str, *, characters_max: int) -> str:
    """The name, or the SHA-256 of a longer one in hexadecimal: the same for the same name."""
    if len(name) <= characters_max:
        return name
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
