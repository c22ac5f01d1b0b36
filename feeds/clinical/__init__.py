"""Tables of patient records as episodes of decisions."""
