"""The public side: listeners, the order of a call, the words of every error."""
