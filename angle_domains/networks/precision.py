"""In which numbers the layers that read images compute; their weights and all losses stay float32.

On a processor with instructions for bfloat16 the Nature network trained two and a half times as many frames a second
as in float32 with the channels outermost (`benchmarks/precision.py`; how many depends on the processor).
"""

from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

import torch

from angle_domains.networks.config import Precision

_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")  # as /proc/cpuinfo names them


def compute_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """float32 or bfloat16."""
    if precision == "auto":
        return torch.bfloat16 if has_bfloat16(device.type) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


@cache
def has_bfloat16(device: str) -> bool:
    """Whether a "cpu" or a "cuda" device multiplies bfloat16 numbers faster than float32 ones."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and any(flag in _processor() for flag in _INSTRUCTIONS)


def computing_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """The context in which layers compute in that type."""
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)


def _processor() -> set[str]:
    """The instructions of the processor; nothing where the system does not tell."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
