"""Losses and returns as pure functions of tensors: no state, no side effect, no reduction over the batch."""
