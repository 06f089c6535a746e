"""What a client can get as an error, and money in words. Pure."""
