"""The `tollgate` command, and the embedded suite that it starts."""
