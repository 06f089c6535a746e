"""The API role: routes, one exchange, and the pipeline of a governed call."""
