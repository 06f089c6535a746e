"""What an OpenAI-compatible provider serves beside chats: passed on, and never translated."""
