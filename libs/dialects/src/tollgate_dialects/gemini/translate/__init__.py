"""generateContent, read into the one form and written from it."""
