import torch

from angle_domains.losses.twin import smoothed, td_target, twin_error


def test_td_target_of_a_row_that_goes_on_one_that_was_cut_and_one_that_ended() -> None:
    reward, value = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 20.0, 30.0])
    discount = 0.9 * torch.tensor([1.0, 1.0, 0.0])  # a truncated row keeps its discount: its last state has a value
    torch.testing.assert_close(td_target(reward, discount, value), torch.tensor([10.0, 20.0, 3.0]))


def test_twin_error_sums_both_critics() -> None:
    q = torch.tensor([[1.0, 2.0], [3.0, 2.0]])
    torch.testing.assert_close(twin_error(q, torch.tensor([2.0, 5.0])), torch.tensor([0.5 + 0.5, 4.5 + 4.5]))


def test_smoothing_cuts_the_noise_and_stays_in_the_box() -> None:
    place = torch.tensor([[0.2, -0.9], [0.8, 0.0]])
    noise = torch.tensor([[0.1, -2.0], [0.4, 0.7]])
    torch.testing.assert_close(smoothed(place, noise, 0.5), torch.tensor([[0.3, -1.0], [1.0, 0.5]]))
