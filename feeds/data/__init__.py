"""Data that come along: each in a folder of its own, with its datasheet, its licence and the script that made it."""
