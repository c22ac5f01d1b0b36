"""Gymnasium environments, single and vectorised, over any DataFeed."""
