"""MinAtar: five Atari games on a grid of ten by ten (Young and Tian 2019)."""
