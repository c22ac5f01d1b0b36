"""Curves and alarms by hand, and the controls that every detector of risk must face."""

from itertools import pairwise

import pytest
import torch

from metalearn.risk.judgement import Foretold, judge_risk, telltales
from metalearn.risk.labels import event_within
from metalearn.risk.measures import auroc
from metalearn.risk.resamples import auroc_interval, resampled_auroc, times_drawn

# a death after 8 hours, a discharge after 6, a death after 4; rows every two hours
CHANCE = torch.tensor([0.1, 0.6, 0.2, 0.7, 0.0, 0.3, 0.1, 0.05, 0.0, 0.2, 0.3, 0.0])
DEATH = torch.tensor([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1], dtype=torch.bool)
ENDED = torch.tensor([0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1], dtype=torch.bool)
FIRST = torch.tensor([1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0], dtype=torch.bool)
WARD = Foretold(CHANCE, DEATH, FIRST, ENDED, torch.where(FIRST, 0.0, 2.0))


def test_curves_by_hand() -> None:
    found = judge_risk(WARD, 2, bins=3)
    # of the 9 rows before an end those of four are followed by death within two rows: .2, .7, .2, .3
    assert (found.measures.rows, found.events) == (9, 2)
    assert found.measures.auroc == pytest.approx((3 + 5 + 3 + 3.5) / 20)
    false, recall = found.roc.T.tolist()
    assert list(zip(false, recall, strict=True))[-2:] == [(pytest.approx(0.8), 1.0), (1.0, 1.0)]
    area = sum((b - a) * (d + c) / 2 for (a, b), (c, d) in zip(pairwise(false), pairwise(recall), strict=True))
    assert area == pytest.approx(found.measures.auroc)
    assert found.precision_recall[0].tolist() == pytest.approx([1.0, 4 / 9])  # all rows are alarms
    assert found.precision_recall[-1].tolist() == [0.0, 1.0]
    assert [each.rows for each in found.reliability] == [3, 3, 3]
    assert [each.told for each in found.reliability] == pytest.approx([0.25 / 3, 0.7 / 3, 1.6 / 3])
    assert [each.came for each in found.reliability] == pytest.approx([0.0, 2.5 / 3, 1.5 / 3])


def test_net_benefit_by_hand() -> None:
    [at] = [each for each in judge_risk(WARD, 2).decision if each.threshold == 0.2]
    assert at.model == pytest.approx((4 - 2 * 0.25) / 9)
    assert at.always == pytest.approx((4 - 5 * 0.25) / 9)


def test_alarms_by_hand() -> None:
    alarms = judge_risk(WARD, 2).alarms
    assert alarms is not None
    # both deaths are to be announced: the second is no sooner than at .3, which four rows reach within 18 hours
    assert alarms.threshold == pytest.approx(0.3)
    assert (alarms.recall, alarms.precision) == (1.0, 0.5)
    assert alarms.per_day == pytest.approx(4 / (18 / 24))
    assert alarms.lead.tolist() == [6.0, 2.0]
    half = judge_risk(WARD, 2, recall=0.5).alarms
    assert half is not None
    assert (half.threshold, half.recall, half.precision) == (pytest.approx(0.7), 0.5, 1.0)
    assert half.lead.tolist() == [2.0]


def test_nobody_dies() -> None:
    found = judge_risk(WARD._replace(event=torch.zeros(12, dtype=torch.bool)), 2)
    assert (found.events, found.alarms, len(found.roc)) == (0, None, 0)


def test_resamples_weigh_patients() -> None:
    chance, label = torch.tensor([0.1, 0.4, 0.4, 0.8]), torch.tensor([0.0, 0.0, 1.0, 1.0])
    patient = torch.tensor([0, 1, 2, 2])
    assert times_drawn(3, 5, 0).sum(1).tolist() == [3.0] * 5
    once, twice, alone = resampled_auroc(
        chance, label, patient, torch.tensor([[1, 1, 1], [0, 2, 1], [0, 0, 3]]).double().numpy()
    )
    assert once == pytest.approx(auroc(chance, label))
    assert twice == pytest.approx(0.75)  # a tie and a pair in order, both twice
    assert alone != alone


def stays(patients: int = 300, rows: int = 10, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Patients of a severity that all their rows show with noise; the worse die at the end."""
    drawn = torch.Generator().manual_seed(seed)
    severity = torch.randn(patients, 1, generator=drawn)
    shown = severity + torch.randn(patients, rows, generator=drawn)
    died = torch.rand(patients, generator=drawn) < torch.sigmoid(2.0 * severity.squeeze(1) - 1.0)
    first = torch.zeros(patients, rows, dtype=torch.bool)
    first[:, 0] = True
    return shown.flatten(), died, first.flatten(), torch.arange(patients).repeat_interleave(rows)


def labels(died: torch.Tensor, first: torch.Tensor, rows: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    last = torch.cat([first[1:], torch.ones(1, dtype=torch.bool)])
    label, known, _ = event_within(last & died.repeat_interleave(rows), first, last, 4)
    return label, (known > 0) & ~last


def test_labels_that_are_shuffled_over_patients_are_not_told() -> None:
    shown, died, first, patient = stays()
    label, kept = labels(died, first)
    low, _ = auroc_interval(shown[kept], label[kept], patient[kept])
    assert low > 0.6
    shuffled, kept = labels(died[torch.randperm(len(died), generator=torch.Generator().manual_seed(1))], first)
    low, high = auroc_interval(shown[kept], shuffled[kept], patient[kept])
    assert low < 0.5 < high


def test_what_was_shifted_from_the_future_gives_itself_away() -> None:
    shown, died, first, _ = stays()
    label, kept = labels(died, first)
    leak = label + 0.1 * torch.rand(len(label), generator=torch.Generator().manual_seed(2))
    read = torch.stack([shown, leak, -leak, 0.5 * label.roll(1) + 0.5 * shown.sigmoid()], -1)
    assert set(telltales(read[kept], label[kept], ("shown", "label", "turned", "late"))) == {"label", "turned"}
    assert telltales(shown[kept].unsqueeze(1), label[kept], ("shown",)) == {}
