"""One form of a conversation between all protocols: requests, answers, streams of events."""
