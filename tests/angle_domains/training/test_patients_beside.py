"""What models beside an agent read of recorded patients."""

import numpy as np
import torch

from angle_domains.training.beside import records_of
from tests.feeds.clinical.tables import feed


def test_records_of_patients_say_what_was_measured_and_who_died() -> None:
    made = feed()
    states, new = records_of(made), made.spec.block("new")
    assert new is not None
    at = made.spec.blocks[0].features.index("lactate")
    shown = states.observation[:, new.start + new.features.index("lactate")]
    assert torch.equal(states.seen[:, at], shown)
    assert 0.0 < shown.mean() < 1.0
    assert states.event is not None
    assert int(states.event.sum()) == int(made.died("train").sum()) > 0
    assert len(records_of(made, "test").first) == len(made.episodes("test"))
    np.testing.assert_array_equal(states.seen[:, made.spec.blocks[0].stop :], 1.0)
