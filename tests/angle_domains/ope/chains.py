"""A chain of three states that can be worked by hand.

In state 1 the clinician takes action 0 half of the time, the target .8 of the time; action 1 ends it with nothing.
Action 0 leads, two hours later, to state 2 and to 2, which count 1 an hour sooner. There both actions end it: action 0
(.75 and .5) earns 2 and action 1 (.25 and .5) earns 4. At gamma = .5 an hour the target is worth
.8 · (.5 · 2 + .25 · 3) = 1.4.
"""

import numpy as np

from angle_domains.ope.episodes import Episodes

GAMMA, TRUE = 0.5, 1.4
Q_TRUE = {(1, 0): 1.75, (1, 1): 0.0, (2, 0): 2.0, (2, 1): 4.0}
V_TRUE = {1: 1.4, 2: 3.0}
PATHS = {  # reward, elapsed, behaviour, target, real, states, actions
    "end": ([0, 0], [3, 0], [0.5, 1], [0.2, 1], [True, False], [1, 2], [1, 0]),
    "two": ([2, 2], [2, 1], [0.5, 0.75], [0.8, 0.5], [True, True], [1, 2], [0, 0]),
    "four": ([2, 4], [2, 1], [0.5, 0.25], [0.8, 0.5], [True, True], [1, 2], [0, 1]),
}


def chain(*paths: str, q: dict[tuple[int, int], float] | None = None, v: dict[int, float] | None = None) -> Episodes:
    """Episodes along the named paths, one patient each."""
    columns = [np.array([PATHS[path][k] for path in paths]) for k in range(7)]
    real = columns[4]
    fitted = {}
    if q is not None and v is not None:
        pairs = zip(columns[5].ravel(), columns[6].ravel(), strict=True)
        values = np.array([q[int(s), int(a)] for s, a in pairs]).reshape(real.shape)
        fitted = {
            "q": np.where(real, values, 0.0),
            "v": np.where(real, np.vectorize(v.get)(columns[5]).astype(float), 0.0),
            "final": np.zeros(len(paths)),
        }
    return Episodes(
        *(column.astype(float) for column in columns[:4]),
        real=real,
        patient=np.arange(len(paths)),
        terminated=np.ones(len(paths), bool),
        **fitted,
    )


def every_path(**fitted: dict) -> Episodes:
    """Each path as often as the clinician walks it: averages over these are expectations."""
    return chain(*["end"] * 4, *["two"] * 3, "four", **fitted)
