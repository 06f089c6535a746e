"""What of a stream waits for its turn, bounded.

Parts are told one after another: what comes of a later one meanwhile waits. No vendor has so much
waiting as is refused here, but a broken or hostile upstream might.
"""

from typing import Final

_PARTS_MAX: Final = 256
_CHARACTERS_MAX: Final = 4 * 1024 * 1024


class Backlog:
    """Counts what waits in one stream; keeps none of it."""

    def __init__(self) -> None:
        self._characters = 0

    def take(self, text: str, *, parts: int) -> None:
        """More text, while `parts` are not told yet beside the one that is. Raises ValueError."""
        self._characters = self._characters + len(text) if parts > 0 else 0
        if parts > _PARTS_MAX or self._characters > _CHARACTERS_MAX:
            raise ValueError("Too much of the stream waits for its turn.")
