"""What Claude takes, whoever serves it: told by its name, in Anthropic's own words."""
