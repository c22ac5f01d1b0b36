"""The code that travels with a logged forecaster. MLflow runs this file to load it; nothing is unpickled."""

from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class ForecasterModel(PythonModel):
    """Quantiles `[B, H, D, Q]` after the last ticks `[B, L, D]` float32, H horizons ahead, in the feed's units."""

    _skip_type_hint_validation = True  # the signature checks already

    def load_context(self, context: Any) -> None:
        from angle_domains.policy import load_policy

        beside = load_policy(context.artifacts["checkpoint"]).beside
        assert beside is not None  # such a model is logged of runs that have them alone
        self.trainer = beside

    # Without a type for the input: MLflow would take it for a schema of its own.
    def predict(self, context: Any, model_input, params: dict[str, Any] | None = None) -> np.ndarray:  # type: ignore[no-untyped-def]
        from angle_domains.outlook.foreseen import foresee

        return foresee(self.trainer, np.asarray(model_input))


set_model(ForecasterModel())
