"""How a dictionary finds the nearest of its keys: by looking at all of them, or through an index that is built anew."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from angle_domains.errors import ConfigError
from angle_domains.memory.config import DictionaryConfig
from angle_domains.memory.entries import Entries
from angle_domains.memory.nearest import nearest

_LEAST = 4_096  # keys below which looking at all is faster
_SAMPLES, _PASSES = 64, 8  # keys of a cell and passes over them, by which the cells are found


@runtime_checkable
class Index(Protocol):
    def find(self, entries: Entries, query: Float[Tensor, "q d"], count: int) -> Int[Tensor, "q c"]:
        """Candidates for the `count` nearest of each query, at least as many as there are; -1 is none.

        Changes nothing.
        """
        ...

    def written(self, entries: Entries, row: Int[Tensor, " n"]) -> None:
        """Those rows hold other keys now."""
        ...

    def moved(self, entries: Entries, row: Int[Tensor, " n"], length: Float[Tensor, " n"]) -> None:
        """The keys of those rows, no row twice, moved that far."""
        ...

    def check_installed(self) -> None:
        """ConfigError where what it is built by is missing; without it, it reads every key, and cannot be written."""
        ...

    def state_dict(self, entries: Entries) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], entries: Entries) -> None:
        """Puts a state back, of whatever kind of index."""
        ...

    def check_valid(self, entries: Entries) -> None:
        """Raises AssertionError where it contradicts the entries."""
        ...


class Exact:
    """Looks at every key."""

    def find(self, entries: Entries, query: Float[Tensor, "q d"], count: int) -> Int[Tensor, "q c"]:
        return nearest(entries.key[: entries.size], entries.norm[: entries.size], query, count)

    def written(self, entries: Entries, row: Int[Tensor, " n"]) -> None: ...

    def moved(self, entries: Entries, row: Int[Tensor, " n"], length: Float[Tensor, " n"]) -> None: ...

    def check_installed(self) -> None: ...

    def state_dict(self, entries: Entries) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any], entries: Entries) -> None: ...

    def check_valid(self, entries: Entries) -> None: ...


class Cells:
    """Keys in cells around centres (an inverted file of faiss), of which the nearest few are searched.

    Rows that were written since it was built, and those whose keys have moved by more than the kernel overlooks, half
    the root of `delta`, are searched beside it, every one: what was written is found. When they are more than 4,096 and
    their share exceeds `stale`, it is built anew: by what is written and moved, never by what is read. On one machine,
    with the same number of threads, two indices of the same history give the same. Where faiss is missing, every key
    of a checkpoint is looked at.
    """

    def __init__(self, config: DictionaryConfig) -> None:
        self.config = config
        self.limit = 0.5 * config.delta**0.5
        self.built: Any = None  # faiss's
        self.path = torch.zeros(0)  # [room] how far each key moved since then; infinite where it was written
        self.fresh = torch.zeros(0, dtype=torch.int64)  # rows that are beyond the limit

    def find(self, entries: Entries, query: Float[Tensor, "q d"], count: int) -> Int[Tensor, "q c"]:
        if self.built is None:
            return nearest(entries.key[: entries.size], entries.norm[: entries.size], query, count)
        faiss = _faiss()
        valid = np.packbits((self.path <= self.limit).cpu().numpy(), bitorder="little")
        known = faiss.IDSelectorBitmap(valid)  # what is gone would take the place of what is there
        only = faiss.SearchParametersIVF(sel=known, nprobe=self.built.nprobe)
        _, found = self.built.search(query.detach().cpu().numpy(), count, params=only)
        beside = self.fresh[nearest(entries.key[self.fresh], entries.norm[self.fresh], query, count)]
        return torch.cat([torch.from_numpy(found).to(query.device), beside], 1)

    def written(self, entries: Entries, row: Int[Tensor, " n"]) -> None:
        self._lengthen(entries, row, torch.full((len(row),), torch.inf, device=entries.device))

    def moved(self, entries: Entries, row: Int[Tensor, " n"], length: Float[Tensor, " n"]) -> None:
        self._lengthen(entries, row, length)

    def check_installed(self) -> None:
        _faiss()

    def state_dict(self, entries: Entries) -> dict[str, Any]:
        built = None if self.built is None else _faiss().serialize_index(self.built)
        return {"built": built, "path": self.path[: entries.size], "fresh": self.fresh}

    def load_state_dict(self, state: dict[str, Any], entries: Entries) -> None:
        built = state.get("built")
        if "path" not in state or (built is not None and not _installed()):  # every key is looked at
            self.built, self.fresh = None, torch.arange(entries.size, device=entries.device)
            self.path = torch.full((entries.size,), torch.inf, device=entries.device)
            return
        self.built = None if built is None else _faiss().deserialize_index(np.asarray(built))
        self.path, self.fresh = (state[name].to(entries.device).clone() for name in ("path", "fresh"))

    def check_valid(self, entries: Entries) -> None:
        beyond = (self.path[: entries.size] > self.limit).nonzero().squeeze(-1)
        assert torch.equal(beyond, self.fresh.sort().values)
        assert (0 if self.built is None else self.built.ntotal) + len(self.fresh) >= entries.size

    def _lengthen(self, entries: Entries, row: Tensor, length: Tensor) -> None:
        """Adds to the paths of rows, no row twice; too many that are beyond the limit are built in."""
        if len(self.path) < entries.size:
            grown = torch.zeros(len(entries.key), device=entries.device)
            grown[: len(self.path)] = self.path
            self.path, self.fresh = grown, self.fresh.to(entries.device)
        before = self.path[row]
        self.path[row] = before + length
        crossed = (before <= self.limit) & (before + length > self.limit)
        self.fresh = torch.cat([self.fresh, row[crossed]])
        if len(self.fresh) > max(_LEAST, self.config.stale * entries.size):
            self._build(entries)

    def _build(self, entries: Entries) -> None:
        key = entries.key[: entries.size].cpu().numpy()
        cells = min(self.config.cells or int(len(key) ** 0.5), len(key))
        faiss = _faiss()
        built = faiss.IndexIVFFlat(faiss.IndexFlatL2(entries.width), entries.width, cells)
        built.cp.seed, built.cp.niter, built.cp.max_points_per_centroid = 1, _PASSES, _SAMPLES
        built.cp.min_points_per_centroid = 1  # fewer are no reason to warn
        built.train(key)
        built.add(key)
        built.nprobe = min(self.config.probes, cells)
        self.built = built
        self.path.zero_()
        self.fresh = self.fresh[:0]


def _installed() -> bool:
    try:
        _faiss()
    except ConfigError:
        return False
    return True


def _faiss() -> Any:
    """faiss, on as many threads as torch."""
    try:
        import faiss
    except ImportError as error:
        raise ConfigError(
            "agent.dictionary.index is 'faiss', which is not installed: pip install 'angle-domains[index]', "
            "or set it to 'exact'"
        ) from error
    faiss.omp_set_num_threads(torch.get_num_threads())
    return faiss


def make_index(config: DictionaryConfig) -> Index:
    """As the settings say."""
    return Exact() if config.index == "exact" else Cells(config)
