"""Console games by stable-retro."""
