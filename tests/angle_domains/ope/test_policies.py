"""Probabilities of the policy itself."""

import numpy as np
import pytest

from angle_domains.errors import ConfigError
from angle_domains.ope.policies import greedy, soft


def test_greedy_is_one_action_and_keeps_to_what_is_allowed() -> None:
    q = np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 0.0]])
    np.testing.assert_array_equal(greedy(q), [[0, 1, 0], [1, 0, 0]])
    mask = np.array([[True, False, True], [True, True, True]])
    np.testing.assert_allclose(greedy(q, mask, epsilon=0.1), [[0.05, 0, 0.95], [0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3]])
    with pytest.raises(ConfigError, match="between 0 and 1"):
        greedy(q, epsilon=2.0)


def test_soft_policies_sum_to_1() -> None:
    log_prob = np.log(np.array([[0.2, 0.3, 0.5]]))
    np.testing.assert_allclose(soft(log_prob), [[0.2, 0.3, 0.5]])
    np.testing.assert_allclose(soft(log_prob, np.array([[True, False, True]])), [[2 / 7, 0.0, 5 / 7]])
