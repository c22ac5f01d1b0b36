"""Atari 2600 games by the Arcade Learning Environment (Bellemare et al. 2013)."""
