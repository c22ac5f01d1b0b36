import math

import pytest
import torch

from angle_domains.errors import ConfigError
from angle_domains.families import agent57, ngu


def test_ngu_by_hand() -> None:
    family = ngu(4, beta=0.2, longest=0.99, shortest=0.9)
    # the sigmoids of 10 (2 - 2) / 2 and of 10 (4 - 2) / 2; 1 - gamma grows tenfold in three equal steps
    torch.testing.assert_close(family.beta, torch.tensor([0.0, 0.1, 0.2 / (1 + math.exp(-10)), 0.2]))
    torch.testing.assert_close(family.gamma, 1 - torch.tensor([0.01, 0.021544, 0.046416, 0.1]), atol=1e-6, rtol=0)


def test_ngu_as_the_paper_has_it() -> None:
    beta, gamma = ngu()
    assert len(beta) == len(gamma) == 32
    assert (beta[0], beta[-1]) == (0.0, pytest.approx(0.3))
    assert beta[15].item() == pytest.approx(0.15)  # 2j = N - 2
    assert (gamma[0].item(), gamma[-1].item()) == (pytest.approx(0.997), pytest.approx(0.99))
    assert (beta.diff() >= 0).all()
    assert (gamma.diff() < 0).all()


def test_agent57_as_the_paper_has_it() -> None:
    beta, gamma = agent57()
    assert torch.equal(beta, ngu().beta)
    assert gamma[0].item() == pytest.approx(0.9999)
    assert gamma[3].item() == pytest.approx((0.9999 + 0.997) / 2)  # the sigmoid of 0
    assert gamma[7].item() == gamma[8].item() == pytest.approx(0.997)
    assert gamma[-1].item() == pytest.approx(0.99)
    assert gamma[8 + 23 // 2].item() == pytest.approx(
        1 - math.exp(12 / 23 * math.log(0.003) + 11 / 23 * math.log(0.01))
    )
    assert (gamma.diff() <= 0).all()


def test_small_families() -> None:
    assert (ngu(1).beta.tolist(), ngu(1).gamma.tolist()) == ([0.0], pytest.approx([0.997]))
    assert (ngu(2).beta.tolist(), ngu(2).gamma.tolist()) == (pytest.approx([0, 0.3]), pytest.approx([0.997, 0.99]))
    assert agent57(10).gamma[-2:].tolist() == pytest.approx([0.997, 0.99])
    with pytest.raises(ConfigError, match="10 policies or more"):
        agent57(9)
    with pytest.raises(ConfigError, match="one policy or more"):
        ngu(0)
