"""How likely a bad event is soon, what such a number is worth, and when to heed it."""
