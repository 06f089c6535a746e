"""OpenAI's Responses, without its stored state, and what those who speak it have made of them."""
