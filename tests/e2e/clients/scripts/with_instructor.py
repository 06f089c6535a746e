"""instructor, unmodified, on the SDKs for `chat` and `messages`."""

import json
import os
import sys

import anthropic
import instructor
import openai
from pydantic import BaseModel


class Person(BaseModel):
    """Whom the text is about."""

    name: str
    age: int


if sys.argv[1] == "chat":
    client = instructor.from_openai(openai.OpenAI(max_retries=0))
else:
    client = instructor.from_anthropic(anthropic.Anthropic(max_retries=0))
person = client.create(
    model=os.environ["MODEL"],
    max_tokens=1000,
    max_retries=2,
    response_model=Person,
    messages=[{"role": "user", "content": "Ada is 36 years old."}],
)
print(json.dumps(person.model_dump()))
