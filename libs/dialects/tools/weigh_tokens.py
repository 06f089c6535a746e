# ruff: noqa: INP001 - a script, not a package
"""Writes what each token of o200k_base is in the dearest of six public vocabularies.

    python libs/dialects/tools/weigh_tokens.py FOLDER

FOLDER holds the vocabularies as packages of PyPI ship them, unpacked: `9b5a…` (cl100k_base, as
tiktoken caches it), `deepseek_tokenizer.json` and `anthropic_tokenizer.json` of litellm,
`qwen.tiktoken` of dashscope, `tekken_240911.json` of mistral-common; o200k_base itself (`fb37…`) as
well. Needs tiktoken and tokenizers. Writes `src/tollgate_dialects/tokens/dearest.bin.gz`: a byte a
token.
"""

import argparse
import base64
import gzip
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import tiktoken
from tokenizers import Tokenizer

OUTPUT = Path(__file__).parents[1] / "src/tollgate_dialects/tokens/dearest.bin.gz"
TOKENS = 199_998
# A byte that no character is: as much as there is of it.
MAX_WEIGHT = 255


def ranked(name: str, pattern: str, ranks: dict[bytes, int]) -> tiktoken.Encoding:
    """A byte-level vocabulary by its merges."""
    return tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def qwen(folder: Path, pattern: str) -> tiktoken.Encoding:
    """Of Qwen, which splits text as cl100k_base does."""
    lines = (line.split() for line in (folder / "qwen.tiktoken").read_bytes().splitlines() if line)
    return ranked("qwen", pattern, {base64.b64decode(token): int(rank) for token, rank in lines})


def tekken(folder: Path) -> tiktoken.Encoding:
    """Of Mistral."""
    table = json.loads((folder / "tekken_240911.json").read_text())
    shape = table["config"]
    size = shape["default_vocab_size"] - shape["default_num_special_tokens"]
    ranks = {base64.b64decode(token["token_bytes"]): token["rank"] for token in table["vocab"]}
    kept = {token: rank for token, rank in ranks.items() if rank < size}
    return ranked("tekken", shape["pattern"], kept)


def counters(folder: Path) -> list[Callable[[str], int]]:
    """Text -> tokens, of each vocabulary."""
    cl100k = tiktoken.get_encoding("cl100k_base")
    pattern = cl100k._pat_str  # noqa: SLF001 - it is told nowhere else
    byte_level = [cl100k, qwen(folder, pattern), tekken(folder)]
    others = [
        Tokenizer.from_file(str(folder / f"{name}_tokenizer.json"))
        for name in ("deepseek", "anthropic")
    ]
    return [
        *(lambda text, one=one: len(one.encode_ordinary(text)) for one in byte_level),
        *(lambda text, one=one: len(one.encode(text, add_special_tokens=False)) for one in others),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the table of the dearest vocabulary.")
    parser.add_argument("folder", type=Path, help="where the vocabularies are")
    folder = parser.parse_args().folder
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    o200k = tiktoken.get_encoding("o200k_base")
    counts = counters(folder)
    weights = bytearray()
    for token in range(TOKENS):
        raw = o200k.decode_single_token_bytes(token)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            weights.append(len(raw))
        else:
            weights.append(min(max(1, *(count(text) for count in counts)), MAX_WEIGHT))
    OUTPUT.write_bytes(gzip.compress(weights, 9, mtime=0))
    sys.stdout.write(f"{TOKENS} tokens, the heaviest {max(weights)} -> {OUTPUT.name}\n")


if __name__ == "__main__":
    main()
