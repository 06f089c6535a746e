"""DashScope's own generation, of text and of what is seen: Qwen and the models beside it."""
