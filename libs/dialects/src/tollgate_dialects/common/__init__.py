"""JSON members, server-sent events, scrubbing, protocols: what both directions need."""
