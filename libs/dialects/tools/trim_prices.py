# ruff: noqa: INP001 - a script, not a package
"""Writes the seed price table from LiteLLM's (MIT; prices are facts).

    TOLLGATE_CORPUS=... python libs/dialects/tools/trim_prices.py VERSION

Reads `litellm-data/model_prices_and_context_window_backup.json.gz` below $TOLLGATE_CORPUS, writes
`src/tollgate_dialects/pricing/seed_prices.json`. Fails on a price that is no whole pico-USD and on
a model that the table does not have.
"""

import argparse
import gzip
import json
import os
import re
import sys
from decimal import Decimal
from pathlib import Path

from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.request.variants import Variant

TABLE = "litellm-data/model_prices_and_context_window_backup.json.gz"
OUTPUT = Path(__file__).parents[1] / "src/tollgate_dialects/pricing/seed_prices.json"

# Publisher -> (prefix in the source table, models by the name that clients ask for).
MODELS = {
    "openai": ("", """
        gpt-3.5-turbo gpt-4-turbo gpt-4o gpt-4o-2024-11-20 gpt-4o-mini gpt-4.1 gpt-4.1-mini
        gpt-4.1-nano gpt-5 gpt-5-mini gpt-5-nano gpt-5.1 gpt-5.2 gpt-5.4 gpt-5.4-mini gpt-5.4-nano
        gpt-5.5 gpt-5.6 gpt-5.6-luna gpt-5.6-sol gpt-5.6-terra gpt-6-astra gpt-6-luna gpt-6-sol
        gpt-6.1-sol o1 o3 o3-mini o4-mini gpt-audio gpt-audio-mini text-embedding-3-small
        text-embedding-3-large omni-moderation-latest"""),
    "anthropic": ("", """
        claude-haiku-4-5 claude-haiku-4-5-20251001 claude-sonnet-4-5 claude-sonnet-4-5-20250929
        claude-sonnet-4-6 claude-opus-4-5 claude-opus-4-6 claude-opus-4-7 claude-opus-4-8
        claude-haiku-5-5 claude-sonnet-5 claude-sonnet-5-5 claude-opus-5 claude-opus-5-5
        claude-fable-5 claude-fable-5-1"""),
    "google": ("gemini/", """
        gemini-2.5-flash gemini-2.5-flash-lite gemini-2.5-pro gemini-3.1-flash-lite
        gemini-3.1-pro-preview gemini-3.5-flash gemini-3.5-flash-lite gemini-3.6-flash
        gemini-3.7-flash gemini-3.8-flash"""),
    "alibaba": ("dashscope/", """
        qwen-flash qwen-plus qwen-turbo qwen3-max qwen3-coder-flash qwen3-coder-plus qwen3-vl-plus
        qwen3.5-plus qwen3.7-max qwen3.7-plus qwen3.8-flash qwen3.8-max"""),
    "deepseek": ("", "deepseek-chat deepseek-reasoner deepseek-v4-flash deepseek-v4-pro"),
}  # fmt: skip

# Served by the demo provider; priced like a small and a middle model of the day.
DEMO = {
    "demo-gpt": {
        "owned_by": "demo",
        "input": 150_000, "output": 600_000, "cache_read": 75_000,
        "cache_write_5m": 150_000, "cache_write_1h": 150_000,
        "max_input_tokens": 128_000, "max_output_tokens": 16_384,
    },
    "demo-codex": {
        "owned_by": "demo",
        "input": 250_000, "output": 2_000_000, "cache_read": 25_000,
        "cache_write_5m": 250_000, "cache_write_1h": 250_000,
        "max_input_tokens": 272_000, "max_output_tokens": 128_000,
    },
    "demo-qwen": {
        "owned_by": "demo",
        "input": 120_000, "output": 480_000, "cache_read": 24_000,
        "cache_write_5m": 150_000, "cache_write_1h": 150_000,
        "max_input_tokens": 128_000, "max_output_tokens": 32_768,
    },
    "demo-nova": {
        "owned_by": "demo",
        "input": 60_000, "output": 240_000, "cache_read": 15_000,
        "cache_write_5m": 60_000, "cache_write_1h": 60_000,
        "max_input_tokens": 300_000, "max_output_tokens": 10_000,
    },
    "demo-gemini": {
        "owned_by": "demo",
        "input": 300_000, "output": 2_500_000, "cache_read": 30_000,
        "cache_write_5m": 300_000, "cache_write_1h": 300_000,
        "max_input_tokens": 1_048_576, "max_output_tokens": 65_536,
    },
    "demo-claude": {
        "owned_by": "demo",
        "input": 1_000_000, "output": 5_000_000, "cache_read": 100_000,
        "cache_write_5m": 1_250_000, "cache_write_1h": 2_000_000, "web_search": 10_000_000_000,
        "max_input_tokens": 200_000, "max_output_tokens": 64_000,
    },
}  # fmt: skip

# Whose dialects can be asked for other ways of serving.
FACTORED = frozenset(("openai", "anthropic"))
# No vendor asks more: gpt-5-nano stands in the source with fifty times, which is a misprint.
FACTOR_PERMILLE_MAX = 10_000
_ABOVE = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")
_PICO_PER_USD = Decimal(10) ** 12


def pico(value: Decimal | int) -> int:
    """USD for one of a unit as whole pico-USD."""
    amount = Decimal(value) * _PICO_PER_USD
    if amount != amount.to_integral_value() or amount < 0:
        raise SystemExit(f"not a whole pico-USD price: {value}")
    return int(amount)


def tier(entry: dict, suffix: str = "") -> dict[str, int]:
    """One tier; a class without a price of its own costs what plain input costs."""
    read = entry[f"input_cost_per_token{suffix}"]
    write = entry.get(f"cache_creation_input_token_cost{suffix}", read)
    hour = entry.get(f"cache_creation_input_token_cost_above_1hr{suffix}", write)
    return {
        "input": pico(read),
        "output": pico(entry[f"output_cost_per_token{suffix}"]),
        "cache_read": pico(entry.get(f"cache_read_input_token_cost{suffix}", read)),
        "cache_write_5m": pico(max(write, read)),
        "cache_write_1h": pico(max(hour, write, read)),
    }


def calls(entry: dict) -> dict[str, int]:
    """What is billed by the call; a search costs what its dearest size does."""
    sizes = entry.get("search_context_cost_per_query")
    return {"web_search": max(map(pico, sizes.values()))} if sizes else {}


def sounds(entry: dict) -> dict[str, int]:
    """What a token of sound costs, where that stands apart."""
    names = {"audio_input": "input_cost_per_audio_token",
             "audio_output": "output_cost_per_audio_token"}  # fmt: skip
    return {word: pico(entry[name]) for word, name in names.items() if name in entry}


def factors(entry: dict) -> dict[str, int]:
    """What other ways of serving multiply every class of tokens by, where that is one factor."""
    found = {}
    for variant in (Variant.FLEX, Variant.PRIORITY):
        ratios = {
            Decimal(price) * 1_000 / Decimal(entry[name.removesuffix(f"_{variant.word}")])
            for name, price in entry.items()
            if name.endswith(f"_{variant.word}") and "_token" in name and "audio" not in name
        }
        if len(ratios) == 1:
            found[variant] = ratios.pop()
    for variant in (Variant.FAST, Variant.US):
        if factor := entry.get("provider_specific_entry", {}).get(variant.word):
            found[variant] = Decimal(factor) * 1_000
    return {
        variant.factor_field: int(factor)
        for variant, factor in found.items()
        if factor == factor.to_integral_value() and factor <= FACTOR_PERMILLE_MAX
    }


def trim(entry: dict, owned_by: str) -> dict:
    """Our fields of a source entry."""
    ranges = entry.get("tiered_pricing")
    base = tier(ranges[0] if ranges else entry)
    if base.keys() != {unit.word for unit in Unit if not unit.is_optional}:
        raise SystemExit("tier() must give a price for each kind of token")
    trimmed = {
        "owned_by": owned_by,
        **base,
        **calls(entry),
        **sounds(entry),
        **(factors(entry) if owned_by in FACTORED else {}),
        # Of embeddings the table has one token less than the vendor's documents.
        "max_input_tokens": int(entry["max_input_tokens"]) + (entry["mode"] == "embedding"),
        # What generates nothing has no limit of its own.
        "max_output_tokens": int(entry.get("max_output_tokens") or 1),
    }
    if ranges and len(ranges) > 1:
        # More than two ranges: everything above the first costs what the dearest does, because a
        # reserve below the truth would break the cap.
        trimmed["long_context_tokens"] = int(ranges[0]["range"][1])
        dearest = [tier(one) for one in ranges[1:]]
        trimmed["long"] = {name: max(one[name] for one in dearest) for name in base}
    for key in entry:
        if found := _ABOVE.fullmatch(key):
            if "long" in trimmed:
                raise SystemExit("more than one long-context tier")
            trimmed["long_context_tokens"] = int(found[1]) * 1_000
            trimmed["long"] = tier(entry, f"_above_{found[1]}k_tokens")
    return trimmed


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the seed price table.")
    parser.add_argument("version", type=int, help="version of the table, for example 20261121")
    version = parser.parse_args().version
    corpus = os.environ.get("TOLLGATE_CORPUS")
    if not corpus:
        raise SystemExit("set TOLLGATE_CORPUS to the folder that holds litellm-data/")
    with gzip.open(Path(corpus) / TABLE) as file:
        source = json.load(file, parse_float=Decimal)
    models = {}
    for owned_by, (prefix, names) in MODELS.items():
        for name in names.split():
            models[name] = trim(source[prefix + name], owned_by)
    table = {
        "version": version,
        "unit": "pico-USD for one of each unit",
        "source": "Trimmed from LiteLLM's model_prices_and_context_window_backup.json (MIT).",
        "models": models,
        "demo": DEMO,
    }
    OUTPUT.write_text(json.dumps(table, indent=1) + "\n")
    sys.stdout.write(f"{len(models)} models -> {OUTPUT.name}\n")


if __name__ == "__main__":
    main()
