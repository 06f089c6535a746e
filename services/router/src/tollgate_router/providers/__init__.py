"""What upstreams there are: their addresses, models, keys, and where that is stored."""
