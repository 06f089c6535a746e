"""OpenAI's chat completions, and what those who speak it have made of them."""
