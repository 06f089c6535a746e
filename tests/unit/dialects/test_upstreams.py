"""What a call is bounded by at the upstreams that it may reach, whatever clients call the model."""

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.pricing.bound import worst_case
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request, rewrite
from tollgate_dialects.upstreams import Upstream, at_upstreams

CHAT, NATIVE = Protocol.OPENAI_CHAT, Protocol.DASHSCOPE
MESSAGES, RESPONSES, GEMINI = (
    Protocol.ANTHROPIC_MESSAGES, Protocol.OPENAI_RESPONSES, Protocol.GEMINI,
)  # fmt: skip
MODEL_MAX, MARGIN = 1_000, 10
# As Alibaba documents them: (thinks whatever it is told, thinks unasked, keeps to a budget, keeps
# to max_completion_tokens).
QWENS = {
    "qwen-plus": (False, False, True, False),
    "qwen3-max": (False, False, True, False),
    "qwen3-next-80b-a3b-thinking": (True, True, True, False),
    "qwen3.5-plus": (False, True, True, True),
    "qwen3.5-397b-a17b": (False, True, True, False),
    "qwq-plus": (True, True, False, False),
    "qvq-max": (True, True, False, False),
}
NATIVELY = {
    **QWENS,
    "qwen3-32b": (False, True, True, False),
    "deepseek-r1": (True, True, False, False),
    "kimi-k2-thinking": (True, True, False, False),
    "deepseek-v4-pro": (False, True, True, True),
}


def price_of(max_input_tokens: int) -> Price:
    """A nano-dollar for each token of output, nothing for the rest."""
    amounts = {unit.price_field: 0 for unit in Unit} | {"output_pico_usd": 1_000}
    return Price.of(
        model="fast", version=1, source="seed", max_input_tokens=max_input_tokens,
        max_output_tokens=MODEL_MAX, **amounts,
    )  # fmt: skip


def asked(protocol, limit, is_on, budget, *, is_whole=False):
    """A client's body in its protocol's words; each None is not said."""
    turns = [{"role": "user", "content": "hi"}]
    if protocol in (CHAT, NATIVE):
        name = "max_completion_tokens" if is_whole else "max_tokens"
        said = {name: limit, "enable_thinking": is_on, "thinking_budget": budget}
        said = {name: value for name, value in said.items() if value is not None}
        if protocol is CHAT:
            return {"model": "fast", "messages": turns, **said}
        return {"model": "fast", "input": {"messages": turns}, "parameters": said}
    effort = {None: {}, True: {"reasoning": {"effort": "high"}}}.get(is_on, {})
    if protocol is RESPONSES:
        limited = {} if limit is None else {"max_output_tokens": limit}
        return {"model": "fast", "input": "hi", **limited, **effort}
    if protocol is GEMINI:
        config = {} if limit is None else {"maxOutputTokens": limit}
        if budget is not None:
            config["thinkingConfig"] = {"thinkingBudget": budget}
        contents = [{"role": "user", "parts": [{"text": "hi"}]}]
        return {"contents": contents, "generationConfig": config}
    thinking = {"type": "disabled" if is_on is False else "enabled", "budget_tokens": budget or 0}
    said = {} if is_on is None else {"thinking": thinking}
    return {"model": "fast", "messages": turns, "max_tokens": limit or MODEL_MAX, **said}


def facts_of(protocol, document, *upstreams):
    rules = DIALECTS[protocol].request
    body = orjson.dumps(document)
    facts = request.read(body, rules, rules.told("fast", stream=False))
    facts = at_upstreams(facts, DIALECTS[protocol], upstreams)
    return facts if all(each.words is protocol for each in upstreams) else facts.translated()


def sent_to(upstream, protocol, document, facts, limit):
    """The document that goes up. Raises Untranslatable."""
    dialect = DIALECTS[protocol]
    if upstream.words is protocol:
        body = rewrite.upstream_body(
            orjson.dumps(document), dialect.request, asked=facts, model=upstream.model,
            max_output_tokens=limit,
        )  # fmt: skip
        return orjson.loads(body)
    read = dialect.translation.read_request(document)
    translation = DIALECTS[upstream.words].translation
    return translation.write_request(read, Target(upstream.model, limit)).document


def most_billed(model, parameters, longest):
    """What a model of Alibaba's gives at most for what it was sent, by the vendor's own words."""
    always, unasked, keeps_budget, keeps_whole = NATIVELY[model]
    budget = parameters.get("thinking_budget")
    thinks = always or parameters.get("enable_thinking", unasked or budget is not None)
    whole = parameters.get("max_completion_tokens")
    if keeps_whole and whole is not None:
        return whole
    answer = parameters.get("max_tokens", longest)
    # Never longer than its longest answer, whatever it is allowed.
    thought = min(budget, longest) if budget and keeps_budget else longest
    return answer + thought * bool(thinks)


@given(
    protocol=st.sampled_from([CHAT, NATIVE, MESSAGES, RESPONSES, GEMINI]),
    upstream=st.sampled_from([
        *(Upstream(NATIVE, name) for name in NATIVELY), *(Upstream(CHAT, name) for name in QWENS),
    ]),
    others=st.lists(st.sampled_from([
        Upstream(CHAT, "gpt-4o"), Upstream(NATIVE, "qwen-plus"), Upstream(MESSAGES, "claude"),
    ])),
    limit=st.none() | st.integers(16, 2 * MODEL_MAX),
    is_on=st.none() | st.booleans(),
    budget=st.none() | st.integers(1, 2 * MODEL_MAX),
    is_whole=st.booleans(),
    max_input_tokens=st.sampled_from([10**6, 200]),
    cap=st.none() | st.integers(1, MODEL_MAX),
)  # fmt: skip
def test_the_reserve_covers_the_answer_and_what_is_thought_beside_it(
    protocol, upstream, others, limit, is_on, budget, is_whole, max_input_tokens, cap
):
    """Of every model that thinks beyond a limit, by an alias, passed on and translated."""
    document = asked(protocol, limit, is_on, budget, is_whole=is_whole)
    price = price_of(max_input_tokens)
    facts = facts_of(protocol, document, upstream, *others)
    bound = worst_case(facts, price, output_cap=cap)
    try:
        sent = sent_to(upstream, protocol, document, facts, bound.sent_max_output_tokens)
    except Untranslatable:
        assume(False)
    parameters = sent["parameters"] if upstream.words is NATIVE else sent
    longest = min(MODEL_MAX, max_input_tokens)
    assert most_billed(upstream.model, parameters, longest) <= bound.amount_nano_usd


@pytest.mark.parametrize("protocol", [CHAT, NATIVE, MESSAGES, RESPONSES, GEMINI])
@pytest.mark.parametrize("limit", [50, None])
@pytest.mark.parametrize(
    "upstream",
    [
        Upstream(CHAT, "gpt-4o"), Upstream(CHAT, "o3"), Upstream(CHAT, "deepseek-reasoner"),
        Upstream(CHAT, "MiniMax-M2"), Upstream(CHAT, "qwen-plus"), Upstream(GEMINI, "gemini-2.5-pro"),
        Upstream(MESSAGES, "claude-sonnet-4-5"), Upstream(RESPONSES, "gpt-5"),
        Upstream(Protocol.BEDROCK_CONVERSE, "anthropic.claude-sonnet-4-5"),
    ],
)  # fmt: skip
def test_other_models_are_bounded_as_before(protocol, limit, upstream):
    """The limit is for all that they give: a few tokens more where the call is translated."""
    document = asked(protocol, limit, None, None)
    facts = facts_of(protocol, document, upstream)
    answer = limit or MODEL_MAX
    # DashScope's own clients are bounded by what they said, whoever answers.
    beyond = MODEL_MAX if protocol is NATIVE else 0 if upstream.words is protocol else MARGIN
    assert answer + beyond == worst_case(facts, price_of(10**6)).amount_nano_usd


def test_the_clients_name_of_a_model_bounds_nothing():
    """An operator may call anything `qwq`; a name without upstreams is believed, for it is all."""
    document = asked(CHAT, 50, None, None) | {"model": "qwq"}
    assert 0 == facts_of(CHAT, document, Upstream(CHAT, "gpt-4o")).beyond_limit_tokens
    assert facts_of(CHAT, document).beyond_limit_tokens is None


def test_a_prediction_is_refused_where_nobody_says_how_long_a_model_thinks():
    """By the upstream's name of it; elsewhere it is bounded by its bytes."""
    prediction = {"type": "content", "content": "word " * 20}
    document = asked(CHAT, 50, None, None) | {"prediction": prediction}
    beyond = facts_of(CHAT, document, Upstream(CHAT, "gpt-4o")).beyond_limit_tokens
    assert beyond == facts_of(CHAT, document).beyond_limit_tokens >= 100
    with pytest.raises(BadRequest):
        facts_of(CHAT, document, Upstream(CHAT, "qwq-plus"))
