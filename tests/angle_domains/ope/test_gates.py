"""The estimators on ICU-Sepsis, whose every policy has an exact value: fifty logs of 1,000 patients, three times.

On the near policy (a fifth of the optimum mixed into what clinicians did) WIS, DR and DM must be within three standard
errors of the truth and their intervals hold it in .88 of the logs; the deterministic optimum must be refused.
"""

import numpy as np
import pytest

from angle_domains.ope.process import Tables, value
from angle_domains.ope.selftest import SelfTestConfig, selftest
from feeds.clinical.process import _first, _row_of, _rows, clinician, exact_value
from feeds.data.icu_sepsis import DEATH, NUM_STATES, SURVIVAL


def icu_sepsis() -> Tables:
    """The process as plain arrays; a decision counts as an hour."""
    shape = NUM_STATES, 25, NUM_STATES
    transition = _rows()[_row_of().reshape(-1)].toarray().reshape(shape)
    place = np.arange(NUM_STATES)
    return Tables(_first(), transition, (place == SURVIVAL) * 1.0, place >= DEATH, clinician())


@pytest.mark.gate
@pytest.mark.parametrize("seed", range(3))
def test_near_clinician_policies_are_valued_and_the_optimum_is_refused(seed: int) -> None:
    process = icu_sepsis()
    assert value(process, clinician(), 1.0) == pytest.approx(exact_value(clinician()), abs=1e-9)
    config = SelfTestConfig(replicates=50, estimators=("WIS", "MIS", "DM", "DR"), seed=seed, learned=False)
    found = selftest(process, config)
    print("\n".join(found.table()))
    assert found.passed, "\n".join(found.table())
