import math

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from angle_domains.distributions import Gaussian, LogisticNormal, MultiCategorical
from angle_domains.errors import ConfigError
from angle_domains.networks import NetworkConfig, PolicyModel, exchangeable_columns
from angle_domains.networks.heads import GaussianHead, MultiCategoricalHead
from feeds.base import FeedSpec
from tests.contracts import worlds


def model_of(spec: FeedSpec, seed: int = 0, head: str = "auto", **settings_: object) -> PolicyModel:
    network = NetworkConfig(**settings_)
    return PolicyModel(spec, network, head, log_std=-0.5, generator=torch.Generator().manual_seed(seed))


def permuted(spec: FeedSpec, obs: torch.Tensor, order: list[int]) -> torch.Tensor:
    """The observations with the assets in another order, block by block."""
    axis = {"assets": 0, "tradable": 0, "weights": 0, "window": 1}
    out = obs.clone()
    for block in spec.blocks:
        if block.name in axis:
            part = obs[..., block.start : block.stop].unflatten(-1, block.shape)
            part = part.index_select(axis[block.name] - len(block.shape), torch.tensor(order))
            out[..., block.start : block.stop] = part.flatten(-len(block.shape)) if len(block.shape) > 1 else part
    return out


def observations(spec: FeedSpec, *lead: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*lead, *spec.observation_space.shape, generator=torch.Generator().manual_seed(seed))


def stirred(model: PolicyModel) -> PolicyModel:
    """The model with its small last layers made large, so that differences show."""
    with torch.no_grad():
        for parameter in model.readout.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(3))
    return model


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(5)), st.sampled_from(["mean", "attention"]), st.booleans())
def test_permuting_assets_permutes_the_weights_of_a_set_policy(order: list[int], pooling: str, simplex: bool) -> None:
    spec = worlds.market_spec(5, simplex=simplex)
    model = stirred(model_of(spec, kind="set", hidden=(8, 8), pooling=pooling))
    obs = observations(spec, 3)
    mine, other = model(obs).mode(), model(permuted(spec, obs, order)).mode()
    torch.testing.assert_close(mine[:, order], other, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(mine, mine[:, :1].expand_as(mine))  # assets are told apart by what is seen of them
    torch.testing.assert_close(model.value(obs), model.value(permuted(spec, obs, order)), atol=1e-5, rtol=1e-4)


def test_columns_that_say_the_same_of_two_assets_share_a_group() -> None:
    spec = worlds.market_spec(3, bars=2)
    group = torch.tensor(exchangeable_columns(spec), dtype=torch.float32)
    torch.testing.assert_close(permuted(spec, group, [2, 0, 1]), group)
    assert group.unique(return_counts=True)[1].tolist() == [3] * (2 + 1 + 2 + 1) + [1] * 3


def test_the_spread_of_a_set_policy_knows_no_asset() -> None:
    assert model_of(worlds.market_spec(5), kind="set").head.log_std.shape == (1,)
    assert model_of(worlds.market_spec(5), kind="mlp").head.log_std.shape == (5,)


@pytest.mark.parametrize("kind", ["mlp", "window", "set"])
def test_the_spread_does_not_depend_on_what_is_seen(kind: str) -> None:
    spec = worlds.market_spec(4, simplex=False)
    model = stirred(model_of(spec, kind=kind, hidden=(8, 8)))
    one, other = (model(observations(spec, 3, seed=seed)) for seed in (1, 2))
    assert not torch.equal(one.mean, other.mean)
    assert torch.equal(one.log_std, other.log_std)


def test_a_set_policy_decides_discretely_asset_by_asset() -> None:
    spec = worlds.market_spec(3)
    spec = FeedSpec("market", spec.observation_space, spaces.MultiDiscrete([3, 3, 3]), spec.blocks)
    model = stirred(model_of(spec, kind="set", hidden=(8,)))
    obs = observations(spec, 4)
    logits = model(obs).parts.log_probs
    assert logits.shape == (4, 3, 3)
    torch.testing.assert_close(
        logits[:, [2, 0, 1]], model(permuted(spec, obs, [2, 0, 1])).parts.log_probs, atol=1e-5, rtol=1e-4
    )


def test_an_mlp_does_tell_assets_apart_by_their_place() -> None:
    spec = worlds.market_spec(5)
    model, obs = stirred(model_of(spec)), observations(spec, 3)
    order = [1, 0, 2, 3, 4]
    assert not torch.allclose(model(obs).mode()[:, order], model(permuted(spec, obs, order)).mode(), atol=1e-3)


@pytest.mark.parametrize("kind", ["mlp", "window", "set"])
@pytest.mark.parametrize("shared", [False, True])
def test_forward_tensor_is_forward_over_time(kind: str, shared: bool) -> None:
    spec = worlds.market_spec(4)
    model = stirred(model_of(spec, kind=kind, hidden=(8, 8), shared=shared))
    obs = observations(spec, 3, 2)
    whole = model.forward_tensor(obs).mode()
    assert whole.shape == (3, 2, 4)
    values = model.value(obs)
    for t in range(3):
        torch.testing.assert_close(whole[t], model(obs[t]).mode(), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(values[t], model.evaluate(obs[t])[1], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model(obs[t]).mode(), model.evaluate(obs[t])[0].mode())


def test_the_window_encoder_reads_every_bar_of_every_asset() -> None:
    spec = worlds.market_spec(3, bars=7)
    model = model_of(spec, kind="window", kernel=4)
    obs = observations(spec, 1).requires_grad_()
    model.value(obs).sum().backward()
    assert (obs.grad != 0).all()


def test_weights_are_orthogonal_with_the_gains_of_ppo() -> None:
    model = model_of(worlds.market_spec(4), hidden=(16, 16))
    hidden = model.policy_torso.layers[2].weight
    torch.testing.assert_close(hidden @ hidden.T, 2.0 * torch.eye(16), atol=1e-5, rtol=1e-5)
    policy = model.readout.whole.weight
    torch.testing.assert_close(policy @ policy.T, 1e-4 * torch.eye(5), atol=1e-8, rtol=1e-5)
    assert model.value_out.weight.norm().item() == pytest.approx(1.0)
    biases = [p for name, p in model.named_parameters() if name.endswith("bias")]
    assert len(biases) == 6
    assert not any(bias.any() for bias in biases)
    assert model.policy_torso.layers[0].weight.norm().item() == pytest.approx(math.sqrt(2 * 16))


def test_a_shared_body_is_one_body() -> None:
    spec = worlds.market_spec(4)
    apart, shared = model_of(spec), model_of(spec, shared=True)
    count = [sum(p.numel() for p in model.parameters()) for model in (apart, shared)]
    body = sum(p.numel() for p in shared.policy_torso.parameters())
    assert count[0] == count[1] + body


def test_building_draws_from_the_given_generator_alone() -> None:
    before = torch.get_rng_state()
    one, other, third = (model_of(worlds.market_spec(4), seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one.value_out.weight, other.value_out.weight)
    assert not torch.equal(one.value_out.weight, third.value_out.weight)


def test_the_edges_of_a_bounded_box_are_one_away() -> None:
    head = GaussianHead(spaces.Box(np.float32([-2, 0]), np.float32([2, 10])), 0.0, False)
    raw = torch.tensor([[0.0, 0.0], [1.0, -1.0], [3.0, 0.5]])
    assert head.action(raw).tolist() == [[0.0, 5.0], [2.0, 0.0], [2.0, 7.5]]
    free = GaussianHead(spaces.Box(-np.inf, np.inf, (2,)), 0.0, False)
    assert free.action(raw).tolist() == raw.tolist()


def test_unequal_numbers_of_choices_are_padded() -> None:
    head = MultiCategoricalHead(spaces.MultiDiscrete([2, 3], start=[5, 0]))
    distribution = head(torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]), torch.tensor([[True, True, True, True, False]]))
    assert isinstance(distribution, MultiCategorical)
    probability = distribution.parts.log_probs.exp()[0]
    e = math.e
    torch.testing.assert_close(
        probability, torch.tensor([[1 / (1 + e), e / (1 + e), 0.0], [1 / (1 + e), e / (1 + e), 0.0]])
    )
    assert head.action(distribution.mode()).tolist() == [[6, 1]]


def test_the_head_follows_the_actions() -> None:
    obs = observations(worlds.market_spec(4), 2)
    assert isinstance(model_of(worlds.market_spec(4))(obs), LogisticNormal)
    assert isinstance(model_of(worlds.market_spec(4, simplex=False))(obs), Gaussian)
    assert isinstance(model_of(worlds.market_spec(4), head="gaussian")(obs), Gaussian)


def with_actions(space: spaces.Space) -> FeedSpec:
    spec = worlds.market_spec(4)
    return FeedSpec("market", spec.observation_space, space, spec.blocks)


@pytest.mark.parametrize(
    ("make", "clause"),
    [
        (lambda: model_of(worlds.market_spec(4, simplex=False), head="dirichlet"), "'gaussian'"),
        (lambda: model_of(with_actions(spaces.Discrete(3)), head="gaussian"), "'auto'"),
        (lambda: model_of(with_actions(spaces.MultiBinary(3))), "not supported"),
        (lambda: model_of(with_actions(spaces.Box(-1, 1, (2, 2)))), "flatten"),
        (lambda: model_of(with_actions(spaces.Discrete(3)), kind="set"), "asset by asset"),
        (lambda: model_of(worlds.market_spec(4, bars=2), kind="window", kernel=3), "feed.window"),
        (lambda: model_of(FeedSpec("x", worlds.UNIT, spaces.Discrete(2)), kind="set"), "tells its assets apart"),
        (lambda: model_of(FeedSpec("x", worlds.UNIT, spaces.Discrete(2)), kind="window"), "feed.window"),
        (lambda: model_of(FeedSpec("x", spaces.Dict(a=worlds.UNIT), spaces.Discrete(2))), "FlattenObservation"),
    ],
)
def test_what_does_not_fit_is_a_mistake_of_the_user(make: object, clause: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigError, match=clause):
        make()


@pytest.mark.parametrize("head", ["squashed", "deterministic"])
def test_heads_for_bounded_boxes_act_inside_them(head: str) -> None:
    low, high = np.array([-1.0, 10.0], np.float32), np.array([3.0, 30.0], np.float32)
    spec = FeedSpec("world", spaces.Box(-1.0, 1.0, (3,), np.float32), spaces.Box(low, high))
    model = stirred(model_of(spec, head=head, hidden=(8,)))
    distribution = model(10.0 * observations(spec, 500))
    generator = torch.Generator().manual_seed(0)
    for raw in (distribution.mode(), distribution.sample(generator)):
        action = model.head.action(raw)
        assert all(spec.action_space.contains(row) for row in action.detach().numpy())
    middle = model.head.action(torch.zeros(1, 2))
    torch.testing.assert_close(middle, torch.tensor([[1.0, 20.0]]))


def test_the_mode_of_a_deterministic_head_is_where_tanh_puts_it_and_its_spread_is_not_learned() -> None:
    spec = FeedSpec("world", spaces.Box(-1.0, 1.0, (3,), np.float32), spaces.Box(-2.0, 2.0, (2,), np.float32))
    model = model_of(spec, head="deterministic", hidden=(8,))
    distribution = model.head(torch.tensor([[0.5, -9.0]]))
    torch.testing.assert_close(distribution.mode(), torch.tensor([[math.tanh(0.5), -1.0]]), atol=1e-6, rtol=1e-6)
    assert distribution.log_std.tolist() == [-0.5]
    assert not any("log_std" in name for name, _ in model.named_parameters())


def test_a_squashed_head_reads_mean_and_spread_of_each_action_side_by_side() -> None:
    spec = FeedSpec("world", spaces.Box(-1.0, 1.0, (3,), np.float32), spaces.Box(-2.0, 2.0, (2,), np.float32))
    distribution = model_of(spec, head="squashed", hidden=(8,)).head(torch.tensor([[0.1, -1.0, 0.2, 50.0]]))
    assert distribution.mean.tolist() == [pytest.approx([0.1, 0.2])]
    assert distribution.log_std.tolist() == [[-1.0, 2.0]]  # held at 2


def test_a_model_without_values_has_only_what_its_policy_needs() -> None:
    spec = FeedSpec("world", spaces.Box(-1.0, 1.0, (3,), np.float32), spaces.Box(-2.0, 2.0, (2,), np.float32))
    made = torch.Generator().manual_seed(0)
    model = PolicyModel(spec, NetworkConfig(hidden=(8,)), "squashed", log_std=0.0, generator=made, values=False)
    assert sum(parameter.numel() for parameter in model.parameters()) == (3 * 8 + 8) + (8 * 4 + 4)
