"""Values squashed, so that rewards need no clipping, and brought back (Pohlen et al. 2018, arXiv:1805.11593).

h(x) = sign(x) (√(|x| + 1) - 1) + ε x grows as a root far from 0 and is odd; both directions are written without the
difference of nearly equal numbers that the paper's formulas have in float32.
"""

from jaxtyping import Float
from torch import Tensor

EPSILON = 1e-3  # of the paper: keeps the inverse's slope bounded


def rescale(x: Float[Tensor, "*b"], epsilon: float = EPSILON) -> Float[Tensor, "*b"]:
    """h(x), by √(|x| + 1) - 1 = |x| / (√(|x| + 1) + 1)."""
    return x / ((x.abs() + 1.0).sqrt() + 1.0) + epsilon * x


def restore(y: Float[Tensor, "*b"], epsilon: float = EPSILON) -> Float[Tensor, "*b"]:
    """The inverse of `rescale`: u = √(|x| + 1) - 1 solves ε u² + (1 + 2ε) u = |y|."""
    size, slope = y.abs(), 1.0 + 2.0 * epsilon
    root = 2.0 * size / (slope + (slope * slope + 4.0 * epsilon * size).sqrt())
    return y.sign() * root * (root + 2.0)


def joined(
    extrinsic: Float[Tensor, "*b n"], intrinsic: Float[Tensor, "*b n"], beta: Float[Tensor, "*b 1"]
) -> Float[Tensor, "*b n"]:
    """Rescaled values of r_e + beta r_i from those of either (Badia et al. 2020, Agent57, section 3.1)."""
    return rescale(restore(extrinsic) + beta * restore(intrinsic))
