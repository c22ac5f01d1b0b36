import math

import pytest
import torch

from angle_domains.networks import NetworkConfig
from angle_domains.networks.q import NoisyLinear, QHead, QNetwork
from tests.contracts import worlds

SPEC = worlds.spec_of(worlds.vector(worlds.Masked, 1))  # observations of four numbers


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(**head: object) -> QNetwork:
    return QNetwork(SPEC, NetworkConfig(hidden=(8,)), QHead(**head), 4, seeded())


class TestNoisyLinear:
    def layer(self) -> NoisyLinear:
        layer = NoisyLinear(2, 2, 0.5, seeded())
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
            layer.bias.copy_(torch.tensor([0.5, -0.5]))
            layer.weight_sigma.copy_(torch.tensor([[0.1, 0.2], [0.3, 0.4]]))
            layer.bias_sigma.copy_(torch.tensor([1.0, 2.0]))
        return layer

    def test_by_hand(self) -> None:
        layer, x = self.layer(), torch.tensor([[1.0, 1.0]])
        noise = torch.tensor([2.0, -1.0]), torch.tensor([3.0, 0.5])
        # weights 1 + .1·3·2, 2 - .2·3·1 and 3 + .3·.5·2, 4 - .4·.5·1; biases .5 + 1·3 and -.5 + 2·.5
        weight = torch.tensor([[1.6, 1.4], [3.3, 3.8]])
        bias = torch.tensor([3.5, 0.5])
        torch.testing.assert_close(layer(x, noise), x @ weight.T + bias)
        torch.testing.assert_close(layer(x), torch.tensor([[3.5, 6.5]]))

    def test_starts_with_the_papers_spread(self) -> None:
        layer = NoisyLinear(16, 400, 0.5, seeded())
        assert (layer.weight_sigma == 0.5 / 4).all()
        assert (layer.bias_sigma == 0.5 / 4).all()
        assert layer.weight.abs().max() <= 0.25
        assert layer.weight.std().item() == pytest.approx(0.25 / math.sqrt(3), rel=0.05)


class TestNoise:
    def test_factors_are_signed_roots_of_normals(self) -> None:
        """f(x) = sign(x) √|x| of a normal x: mean 0, variance E|x| = √(2/π), fourth moment 1."""
        noise = torch.cat([part.flatten() for part in network(sigma=0.5).draw(seeded(), 20_000)])
        assert noise.mean().item() == pytest.approx(0.0, abs=0.01)
        assert noise.var().item() == pytest.approx(math.sqrt(2 / math.pi), rel=0.01)
        assert noise.pow(4).mean().item() == pytest.approx(1.0, rel=0.02)

    def test_the_spread_of_an_output_is_that_of_its_weights(self) -> None:
        """Var of sum_i sigma e_i e_o x_i + sigma e_o = (2/π) sigma² |x|² + √(2/π) sigma²."""
        layer, x = NoisyLinear(3, 1, 0.6, seeded()), torch.tensor([1.0, -2.0, 0.5])
        raw = torch.randn(200_000, 4, generator=seeded(1))
        factors = raw.sign() * raw.abs().sqrt()
        outputs = layer(x.expand(200_000, 3), (factors[:, :3], factors[:, 3:]))
        sigma = 0.6 / math.sqrt(3)
        variance = sigma**2 * (2 / math.pi * 5.25 + math.sqrt(2 / math.pi))
        assert outputs.mean().item() == pytest.approx(layer(x).item(), abs=0.01)
        assert outputs.var().item() == pytest.approx(variance, rel=0.02)

    def test_one_draw_for_all_samples_or_one_for_each(self) -> None:
        net, obs = network(sigma=0.5, hidden=(6,), dueling=True, outputs=3), torch.ones(5, 4)
        shared = net(obs, net.draw(seeded()))
        torch.testing.assert_close(shared, shared[:1].expand_as(shared))
        apart = net(obs, net.draw(seeded(), 5))
        assert apart.shape == (5, 4, 3)
        assert not torch.equal(apart[0], apart[1])

    def test_a_network_without_noise_draws_none(self) -> None:
        chance = seeded()
        before = chance.get_state()
        assert network().draw(chance) is None
        assert torch.equal(before, chance.get_state())

    def test_noise_is_off_where_none_is_handed_in(self) -> None:
        net, obs = network(sigma=0.5), torch.ones(2, 4)
        assert torch.equal(net(obs), net(obs))
        assert not torch.equal(net(obs), net(obs, net.draw(seeded())))


class TestQNetwork:
    @pytest.mark.parametrize("outputs", [1, 5])
    @pytest.mark.parametrize("hidden", [(), (7,), (7, 6)])
    @pytest.mark.parametrize("dueling", [True, False])
    @pytest.mark.parametrize("sigma", [None, 0.5])
    def test_shapes(self, outputs: int, hidden: tuple[int, ...], dueling: bool, sigma: float | None) -> None:
        net = network(outputs=outputs, hidden=hidden, dueling=dueling, sigma=sigma)
        assert net(torch.zeros(3, 4), net.draw(seeded())).shape == (3, 4, outputs)

    def test_dueling_by_hand(self) -> None:
        """q = v + a - mean a, atom by atom: v = (10, 20), a = (1, 2, 3, 6) and (0, 0, 0, 4)."""
        net = network(outputs=2, dueling=True)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.zero_()
            net.advantage.layers[0].bias.copy_(torch.tensor([1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 6.0, 4.0]))
            net.value.layers[0].bias.copy_(torch.tensor([10.0, 20.0]))
        expected = torch.tensor([[8.0, 19.0], [9.0, 19.0], [10.0, 19.0], [13.0, 23.0]])
        torch.testing.assert_close(net(torch.zeros(1, 4))[0], expected)

    def test_a_common_shift_of_the_advantages_changes_nothing(self) -> None:
        net, obs = network(dueling=True), torch.randn(3, 4, generator=seeded())
        before = net(obs)
        with torch.no_grad():
            net.advantage.layers[0].bias += 7.0
        torch.testing.assert_close(net(obs), before)
