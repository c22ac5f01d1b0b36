"""What must be true for an estimate to mean anything, in words: no number is shown without them."""

from angle_domains.ope.diagnostics import Diagnostics
from angle_domains.ope.estimators import MODELS

_ALWAYS = (
    "no unmeasured confounding: everything that moved both decision and outcome is in the state or history",
    "positivity: what the target policy may do was done now and then in every situation it would do it in",
    "patients are independent of one another, and those to come are like those recorded",
)
_KNOWN = "the recorded propensities are those by which decisions were drawn"
_ESTIMATED = "the estimated behaviour policy is right: its errors multiply over the steps, and no interval counts them"
_MODEL = "the fitted values are right: the state is sufficient (Markov) and the fit holds where the target leads"
_DOUBLY = "the behaviour policy or the fitted values are right, one of the two; the state is sufficient for the latter"
_FORESEEN = "the model of patients is right wherever the target leads, and the state is sufficient (Markov)"
_MARKOV = "the state, a number, is sufficient (Markov): weights of histories are replaced by weights of states"
_CUT_NOTHING = "nothing of interest follows where a record was cut: what comes after counts 0"
_CUT_FITTED = "records are cut for reasons that say nothing of the future; the fitted value stands for it"


def assumptions(estimator: str, found: Diagnostics) -> tuple[str, ...]:
    """Those of one estimator on these records."""
    propensity = _KNOWN if found.calibration is None else _ESTIMATED
    if estimator == "DM":
        own: tuple[str, ...] = (_MODEL,)
    elif estimator == "MODEL":
        own = (_FORESEEN,)
    elif estimator == "MIS":
        own = (propensity, _MARKOV)
    elif estimator in MODELS:
        own = (_DOUBLY, propensity)
    else:
        own = (propensity,)
    fitted = estimator in MODELS or estimator == "MODEL"
    cut = () if found.cut_share == 0.0 else (_CUT_FITTED if fitted else _CUT_NOTHING,)
    return (*_ALWAYS, *own, *cut)
