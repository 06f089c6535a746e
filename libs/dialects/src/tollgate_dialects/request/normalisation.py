"""How much longer a text can get before it is tokenized.

Some tokenizers bring text into Unicode form NFC or NFKC first, and a few characters grow there: one
of 3 bytes becomes 33. Promises that a text of n UTF-8 bytes normalises to at most n + growth bytes.
"""

import re
import unicodedata
from collections import Counter
from typing import Final

# Characters whose UTF-8 form grows under NFC or NFKC; a test recomputes the list.
_GROWING = """
a8 af b4 b8 bc-be 13f-140 149 1c4-1c6 2d8-2dd 344 37a 384-385 587 675-678 958-95f 9dc-9dd 9df a33
a36 a59-a5b a5e b5c-b5d e33 eb3 edc-edd f43 f4d f52 f57 f5c f69 f73 f75-f79 f81 f93 f9d fa2 fa7 fac
fb9 1fc1 1fcd-1fcf 1fdd-1fdf 1fed-1fee 2033-2034 2036-2037 2057 2150-215f 2167 2177 2189 222c-222d
222f-2230 247d-2487 2a0c 2adc 309b-309c 309f 30ff 3200-321e 3220-3243 327c-327d 32c0-32cb 32ff-3370
337b-337f 3389 33a7-33a8 33ae-33af 33c2 33c6 33d8 33de-33fe fa6c facf-fad1 fad5-fad7 fb13-fb17 fb1d
fb1f fb2a-fb36 fb38-fb3c fb3e fb40-fb41 fb43-fb44 fb46-fb4f fbdd fbea-fbfb fc00-fd3d fd50-fd8f
fd92-fdc7 fdf0-fdfc fe71 fe77 fe79 fe7b fe7d fe7f fef5-fefc 1d15e-1d164 1d1bb-1d1c0 1f12a
1f200-1f201 1f240-1f248
"""


def _character_class() -> str:
    ranges = (word.partition("-") for word in _GROWING.split())
    return "".join(f"{chr(int(low, 16))}-{chr(int(high or low, 16))}" for low, _, high in ranges)


_GROWS = re.compile(f"[{_character_class()}]")


_ASCII = bytes(range(128))
# More text outside ASCII than any model reads: there the cheapest bound will do.
EXACT_BYTES: Final = 1 << 20
# No character of n bytes grows by more than 10 n (U+FDFA: 3 bytes become 33).
_FACTOR: Final = 10
# Bounds the work of one step, so that few objects are alive at once.
_STEP: Final = 1 << 16


def growth(utf8: bytes) -> int:
    """The bytes that normalisation can add to a text in UTF-8, at most; exact for most texts."""
    if utf8.isascii():
        return 0
    # Without its ASCII bytes, UTF-8 is still the same other characters.
    others = bytearray()
    for start in range(0, len(utf8), EXACT_BYTES):
        others += utf8[start : start + EXACT_BYTES].translate(None, _ASCII)
        if len(others) > EXACT_BYTES:
            return _FACTOR * len(utf8)
    text = others.decode()
    found: Counter[str] = Counter()
    for start in range(0, len(text), _STEP):
        found.update(_GROWS.findall(text, start, start + _STEP))
    return sum(count * _growth_of(character) for character, count in found.items())


def _growth_of(character: str) -> int:
    forms = (unicodedata.normalize("NFC", character), unicodedata.normalize("NFKC", character))
    return max(len(form.encode()) for form in forms) - len(character.encode())
