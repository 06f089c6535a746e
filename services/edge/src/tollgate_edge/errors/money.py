"""Money as text: exact, never a float."""

NANO_PER_USD = 1_000_000_000


def usd(nano_usd: int) -> str:
    """Nano-USD as exact decimal USD without trailing zeros."""
    sign, amount = ("-", -nano_usd) if nano_usd < 0 else ("", nano_usd)
    whole, fraction = divmod(amount, NANO_PER_USD)
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:09d}".rstrip("0")
