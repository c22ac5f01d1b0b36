"""Watching a policy play: pictures of a game, a film of them, a window."""
