"""How far prices will move tomorrow: the variance of the next day's return, and quantiles of it."""
