"""Off-policy evaluation: what a policy is worth by records of another's decisions, or why that cannot be said."""
