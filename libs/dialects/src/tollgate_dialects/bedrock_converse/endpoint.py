"""Where Converse is called."""

from typing import Final

from tollgate_dialects.bedrock import endpoint

ENDPOINT: Final = endpoint.of("converse", "converse-stream")
