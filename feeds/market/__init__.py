"""Prices as portfolio decisions: bars are checked at the border, features look only back, costs are charged once."""
