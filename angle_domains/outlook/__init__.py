"""What the models beside an agent foresee in a part of a feed: forecasts, risks, and how fast they adapt elsewhere."""
