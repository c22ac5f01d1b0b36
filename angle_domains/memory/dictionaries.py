"""One neural dictionary for each action: what every action is worth, and how that is learned."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from angle_domains.errors import CheckpointError
from angle_domains.memory.config import DictionaryConfig
from angle_domains.memory.dictionary import Dictionary, Neighbours
from angle_domains.memory.kernel import kernel_mean, squared_distance

_QUERIES = 256  # whose neighbours lie in memory at once


class Recalled(NamedTuple):
    """Values of chosen actions, and the entries they were made of."""

    value: Float[Tensor, " b"]  # 0, without a gradient, where nothing was found
    found: Bool[Tensor, " b"]
    row: Int[Tensor, "b k"]
    counted: Bool[Tensor, "b k"]
    keys: Float[Tensor, "b k d"]  # copies of the entries, which receive the gradients
    values: Float[Tensor, "b k"]


class Dictionaries:
    """Of `actions` actions and keys of `width` numbers."""

    def __init__(self, config: DictionaryConfig, actions: int, width: int, device: torch.device) -> None:
        self.config, self.width, self.device = config, width, device
        self.each = [Dictionary(config, width, device) for _ in range(actions)]

    def values(self, query: Float[Tensor, "q d"], *, refresh: bool = False) -> Float[Tensor, "q n"]:
        """What every action is worth; 0 where its dictionary is empty. Gradients flow to the query alone.

        With `refresh` the entries that speak count as used.
        """
        return torch.cat([self._values(few, refresh) for few in query.split(_QUERIES)])

    def recall(self, query: Float[Tensor, "b d"], action: Int[Tensor, " b"], serial: Int[Tensor, " b"]) -> Recalled:
        """What the given action is worth by other entries than the query's own, which count as used.

        The query's own, written by the decision of that `serial` number, lies nearest and would drown the others: its
        value is the return that is to be learned, so nothing would be. Gradients flow to the query, and to copies of
        the entries.
        """
        shape = (len(query), self.config.neighbours)
        row = torch.zeros(shape, dtype=torch.int64, device=self.device)
        counted = torch.zeros(shape, dtype=torch.bool, device=self.device)
        keys, values = torch.zeros(*shape, self.width, device=self.device), torch.zeros(shape, device=self.device)
        for dictionary, of in self._by_action(action):
            found = dictionary.find(query[of], skip=serial[of])
            dictionary.refresh(found)
            row[of], counted[of] = found
            keys[of], values[of] = _copies(dictionary, found)
        keys.requires_grad_(), values.requires_grad_()
        value = kernel_mean(squared_distance(query, keys), values, counted, self.config.delta)
        return Recalled(value, counted.any(-1), row, counted, keys, values)

    def move(self, recalled: Recalled, action: Int[Tensor, " b"]) -> None:
        """A step of the entries down the gradients that a loss of `recalled.value`, a mean, left in their copies.

        They are taken of each sample's own loss: so what steadies the steps is small beside them, whatever the batch.
        """
        keys, values = recalled.keys.grad, recalled.values.grad
        if keys is None or values is None:
            return
        for dictionary, of in self._by_action(action):
            counted = recalled.counted[of]
            each = recalled.row[of][counted], len(action) * keys[of][counted], len(action) * values[of][counted]
            dictionary.move(*each)

    def write(
        self,
        key: Float[Tensor, "n d"],
        action: Int[Tensor, " n"],
        value: Float[Tensor, " n"],
        serial: Int[Tensor, " n"],
    ) -> None:
        """Appends to the dictionary of each action, in the order given."""
        for dictionary, of in self._by_action(action):
            dictionary.write(key[of], value[of], serial[of])

    def state_dict(self) -> dict[str, Any]:
        return {"each": [dictionary.state_dict() for dictionary in self.each]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where its keys have another width, or it has other actions."""
        if len(state["each"]) != len(self.each):
            raise CheckpointError(
                f"the checkpoint belongs to another network: it has dictionaries of {len(state['each'])} actions, "
                f"this one of {len(self.each)}"
            )
        for dictionary, of in zip(self.each, state["each"], strict=True):
            dictionary.load_state_dict(of)

    def check_valid(self) -> None:
        """Raises AssertionError where the parts of a dictionary contradict one another."""
        for dictionary in self.each:
            dictionary.check_valid()

    def _values(self, query: Tensor, refresh: bool) -> Tensor:
        told = []
        for dictionary in self.each:
            found = dictionary.find(query.detach())
            if refresh:
                dictionary.refresh(found)
            keys, values = _copies(dictionary, found)
            told.append(kernel_mean(squared_distance(query, keys), values, found.counted, self.config.delta))
        return torch.stack(told, -1)

    def _by_action(self, action: Tensor) -> list[tuple[Dictionary, Tensor]]:
        """The dictionaries that are concerned, and which places each concerns."""
        places = [(dictionary, (action == a).nonzero().squeeze(-1)) for a, dictionary in enumerate(self.each)]
        return [(dictionary, of) for dictionary, of in places if len(of)]


def _copies(dictionary: Dictionary, found: Neighbours) -> tuple[Tensor, Tensor]:
    if not len(dictionary):
        shape = found.row.shape
        return torch.zeros(*shape, dictionary.entries.width, device=dictionary.device), torch.zeros(
            shape, device=dictionary.device
        )
    return dictionary.entries.keys_of(found.row), dictionary.entries.value[found.row]
