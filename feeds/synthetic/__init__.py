"""Worlds whose optimum is known: what an agent should find there, and where there is nothing to be found."""
