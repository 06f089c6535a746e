"""Outputs longer than the model's ordinary limit, which Anthropic gives by a beta."""

import json

from tollgate_dialects.anthropic.endpoint import forwarded_betas
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.pricing import bound, seed
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request

BETA = "output-300k-2026-03-24"
MODEL = "claude-opus-4-6"
TOKENS = 300_000


def test_300k_tokens_are_sent_with_their_beta_and_reserved_whole():
    """The beta goes upstream, the limit as the client set it, and all of it is reserved."""
    betas = forwarded_betas(f"{BETA},context-1m-2025-08-07")
    assert betas.kept == BETA
    price = {model.price.model: model.price for model in seed.models()}[MODEL]
    assert price.max_output_tokens < TOKENS
    asked = {"model": MODEL, "max_tokens": TOKENS, "messages": [{"role": "user", "content": "Hi"}]}
    rules = DIALECTS[Protocol.ANTHROPIC_MESSAGES].request
    worst = bound.worst_case(request.read(json.dumps(asked).encode(), rules), price)
    assert worst.sent_max_output_tokens == TOKENS
    pico_usd = TOKENS * price.rates[Unit.OUTPUT.position]
    assert worst.amount_nano_usd * 1_000 >= pico_usd
