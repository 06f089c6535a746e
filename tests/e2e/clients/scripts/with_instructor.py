"""instructor, unmodified, on the SDKs for `chat` and `messages`."""

import json
import sys
from typing import Any

import anthropic
import instructor
import openai
from pydantic import BaseModel


class Person(BaseModel):
    """Whom the text is about."""

    name: str
    age: int


def client(speaks: str, key: str) -> Any:
    if speaks == "chat":
        return instructor.from_openai(openai.OpenAI(api_key=key, max_retries=0))
    return instructor.from_anthropic(anthropic.Anthropic(api_key=key, max_retries=0))


for part in sys.argv[1:]:
    speaks, model, key = part.split("=")
    person = client(speaks, key).create(
        model=model,
        max_tokens=1000,
        max_retries=2,
        response_model=Person,
        messages=[{"role": "user", "content": "Ada is 36 years old."}],
    )
    print(json.dumps(person.model_dump()))
