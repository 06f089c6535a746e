"""What may be said to a client of a text that an upstream wrote.

Promises that keys, addresses, account and request identifiers, paths and control characters are
gone, and that the words clients match on ("prompt is too long: 210000 tokens > 200000 maximum",
"max_tokens", model names) stay. Prefers to redact a harmless word over keeping a harmful one.
"""

import base64
import re
import unicodedata
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

MAX_CHARACTERS: Final = 500
REDACTED: Final = "[redacted]"

# What is looked at at all: keeps every pattern's work small.
_MAX_INPUT_CHARACTERS = 4_000
_MIN_SECRET_CHARACTERS = 4

_TLDS = (
    "com|net|org|io|ai|dev|app|cloud|co|cn|hk|sg|eu|us|uk|de|fr|nl|ch|jp|kr|in|ru|au|ca|info|biz|"
    "tech|site|xyz|azure|aws|internal|intranet|corp|lan|local|localdomain|svc|cluster|home|test|"
    "example|invalid|host|run|gov|edu"
)
_OWNER = "deployment|resource|subscription|tenant|workspace|account|organi[sz]ation|project"
_ID_PREFIXES = (
    "user|req|request|msg|chatcmpl|resp|run|thread|asst|file|batch|key|cus|sub|wrkspc|workspace|"
    "account|tenant|project|deployment|dep|res|acc|trace|ws"
)
_COLLECTIONS = "projects|subscriptions|resourcegroups|providers|locations|deployments|accounts"
# Words that stand before a colon and a number without being a machine's name.
_NO_HOSTS = (
    "tokens?|limit|max|min|maximum|minimum|lines?|columns?|col|row|index|status|code|errors?|length|"
    "size|count|total|used|requested|input|output|prompt|completion|context|messages?|chars?|"
    "characters?|bytes|position|offset|id|version|seed|value|http|got|received|expected|model|year"
)
_MACHINE = "node|host|hostname|pod|worker|backend|server|replica|instance|upstream|machine|shard"
# What Kubernetes adds to a name: a hash of letters and digits, and five characters more.
_POD = (
    r"(?<![\w.\-])[a-z0-9][a-z0-9\-]{0,200}-(?=[a-z]*\d+[a-z])[a-z0-9]{7,10}-"
    r"(?=[a-z]*\d|[bcdfghjklmnpqrstvwxz]{5})[a-z0-9]{5}\b(?!-)"
)

# In this order: what encloses other things comes first.
_PATTERNS: Final = tuple(
    re.compile(pattern, re.ASCII)  # other letters may touch what is looked for
    for pattern in (
        r"(?i)\b[a-z][a-z0-9+.\-]{1,20}://[^\s\"'<>]+",  # URL
        r"(?i)\bwww\.[^\s\"'<>]+",
        r"[\w.+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63})+",  # e-mail
        r"(?i)\b(?:bearer|basic)\s+[^\s\"',;]+",
        r"(?i)\b(?:authorization|x-api-key|api[_\- ]?key)\b[\"']?\s*[:=]\s*[\"']?[^\s\"',;]+",
        r"\b(?:sk|pk|rk|gsk|xai|hf|tvly|pplx|nvapi|gh[pousr]|xox[a-z]|glpat)[\-_][^\s\"',;)]+",
        r"\bAIza[\w\-]+",
        r"\bya29\.[\w.\-]+",
        # Masked keys: stars, dots or bullets between or before what is left of one.
        r"[A-Za-z_][\w\-]*\*{2,}[\w\-*.]*",
        r"\*{3,}[\w\-*.]*|[\w\-]*[\u2022\u25cf]{2,}[\w\-\u2022\u25cf]*",
        r"(?<![\w\-])(?=[A-Za-z\-_]*\d)[\w\-]{2,64}(?:\.{3,}|\u2026)[\w\-]{2,}",
        r"(?<![\w\-])[\w\-]{2,64}(?:\.{3,}|\u2026)(?=[A-Za-z\-_]*\d)[\w\-]{2,}",
        r"\b[xX]{4,}[\w\-]+",
        r"(?i)\b(?:key|token)\b[^.\n]{0,24}\bend(?:s|ing)\s+(?:in|with)\s+[\"'`]?[\w\-*.]+",
        r"\b(?:AKIA|ASIA|LTAI|ABSK)[A-Za-z0-9+/=]{8,}",
        r"\beyJ[\w\-]{8,}[\w.\-]*",  # JWT
        r"(?i)\barn:[^\s\"',;]+",
        r"(?i)\b(?:request|trace|correlation|session)[ _\-]?id\b[\"']?\s*[:=]?\s*[\"']?[\w\-]{4,}",
        r"\b(?:org|acct|proj)[\-_][A-Za-z0-9_\-]{6,}",
        # Identifiers with a prefix; a digit or a capital tells them from ordinary words.
        rf"\b(?:{_ID_PREFIXES})[\-_](?=[A-Za-z0-9_\-]*[0-9A-Z])[A-Za-z0-9_\-]{{4,}}",
        rf"(?i)\b(?:{_OWNER})s?(?:\s+(?:id|name|group))?\s*[:=]?\s*([\"'`])[^\"'`]{{1,100}}\1",
        rf"(?i)\b(?:{_OWNER})s?(?:\s+(?:id|name|group))?\s*[:=]?\s+(?=[\w\-]*\d)[\w\-]{{4,}}",
        rf"(?i)\b(?:{_COLLECTIONS})/[^\s\"',;]+",
        # Host name; begins where no label is before it, so that a long run is read once.
        rf"(?i)(?<![a-z0-9\-])(?<![a-z0-9\-]\.)(?:[a-z0-9\-]{{1,63}}\.)+(?:{_TLDS})\b(?::\d{{1,5}})?(?:/[^\s\"'<>]*)?",
        r"(?i)\blocalhost\b(?::\d{1,5})?",
        # A bare name and its port: a name with a hyphen or digit, or any word and four digits.
        r"(?i)(?<![\w.\-/])(?=[a-z_]*[\-\d])[a-z][\w\-]{0,62}:\d{2,5}\b(?![.:]\d)",
        rf"(?i)(?<![\w.\-/])(?!(?:[a-z_]*_)?(?:{_NO_HOSTS}):)[a-z][a-z_]{{1,62}}:\d{{4,5}}\b(?![.:]\d)",
        # Machines: pods of a ReplicaSet, cloud nodes, numbered nodes, and whatever is called one.
        _POD,
        r"(?i)(?<![\w.\-])(?:ip(?:-\d{1,3}){4}|(?:aks|gke|eks)-[\w\-]+|i-[0-9a-f]{8,17})\b",
        rf"(?i)(?<![\w.\-])(?:[a-z0-9]+-){{0,8}}(?:gpu|vm|rack|{_MACHINE})s?-?\d[\w\-]*",
        rf"(?i)\b(?:{_MACHINE})s?(?:\s+name)?\s*[:=]?\s*[\"'`]?(?=[a-z]*-[\w\-]*\d)[a-z][\w\-]+",
        r"\b\d{1,3}(?:\.\d{1,3}){3}\b(?::\d{1,5})?",
        r"(?<![\w:])\[?(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}\]?(?![\w:])",
        r"(?<![\w.)\]])~?(?:/[\w.@+\-]+){2,}/?",  # paths
        r"\b[A-Za-z]:\\[^\s\"']+",
        r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",
        r"\b[0-9a-fA-F]{24,}\b",
        r"\b\d{10,}\b",  # account numbers
        # Long runs that mix letters and digits, or are longer than any word.
        r"(?<![A-Za-z0-9+/])(?=[A-Za-z+/]*\d)(?=[\d+/]*[A-Za-z])[A-Za-z0-9+/]{16,}={0,2}",
        r"(?<![A-Za-z0-9+/])[A-Za-z0-9+]{24,}={0,2}",
    )
)


def scrub(text: str, secrets: Sequence[str] = ()) -> str:
    """The text in at most 500 characters without what must not be said."""
    text = _plain(text[:_MAX_INPUT_CHARACTERS])
    sought = {
        f for secret in secrets if len(secret) >= _MIN_SECRET_CHARACTERS for f in forms(secret)
    }
    for form in sorted(sought, key=len, reverse=True):
        text = text.replace(form, REDACTED)
    for pattern in _PATTERNS:
        text = pattern.sub(REDACTED, text)
    return text[:MAX_CHARACTERS].rstrip()


def _plain(text: str) -> str:
    """Printable characters and single spaces: nothing invisible splits what a pattern looks for."""
    kept: list[str] = []
    for character in text:
        category = unicodedata.category(character)
        if category in ("Cc", "Zl", "Zp", "Zs"):
            kept.append(" ")
        elif category not in ("Cf", "Cs", "Co", "Cn"):
            kept.append(character)
    return " ".join("".join(kept).split())


def forms(secret: str) -> frozenset[str]:
    """The ways a secret may be written: as it is, in a URL, in base64."""
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return frozenset((secret, quote(secret, safe=""), encoded))
