"""The names of the wire protocols that clients or upstreams speak. What each is: its own folder."""

import enum


class Protocol(enum.Enum):
    """A wire protocol; upstreams of the client's own protocol get the client's bytes."""

    OPENAI_CHAT = "openai.chat"
    OPENAI_RESPONSES = "openai.responses"
    ANTHROPIC_MESSAGES = "anthropic.messages"
    GEMINI = "gemini.generate_content"
    OPENAI_COMPLETIONS = "openai.completions"
    OPENAI_EMBEDDINGS = "openai.embeddings"
    OPENAI_MODERATIONS = "openai.moderations"
    RERANK = "jina.rerank"
    DASHSCOPE = "dashscope.generation"
    # Upstreams alone.
    BEDROCK_CONVERSE = "bedrock.converse"
    # The words of messages, in a cloud's envelope.
    BEDROCK_INVOKE = "bedrock.invoke"
    VERTEX_ANTHROPIC = "vertex.anthropic"

    # Members are singletons: their identity is a hash, and Enum's own runs in Python.
    __hash__ = object.__hash__
