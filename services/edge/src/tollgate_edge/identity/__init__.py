"""Who calls: keys verified, decisions kept and forgotten."""
