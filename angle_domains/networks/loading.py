"""Parameters put back into a network."""

from torch import Tensor, nn

from angle_domains.errors import other_network


def load_network(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Puts parameters back; CheckpointError where they belong to another network."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise other_network(error) from error
