"""Off-policy evaluation: what a policy is worth by records of another's decisions, or why that cannot be said.

`episodes.from_rows` pads records and the target's probabilities (`policies`); `behaviour.estimate` stands in for
propensities that are not known; `fqe.fit` or `tabular.fit` and `tabular.cross_fit` give the values that DM, DR, WDR and
MAGIC need; `value.evaluate` gives every estimate with interval, diagnostics and assumptions, or refuses it. Beside
these stand `bounds` (lower bounds at any sample size), `sensitivity` (hidden confounding), `selection` (best of K) and
`selftest`.
"""
