"""The code that travels with a logged policy. MLflow runs this file when the model is loaded; nothing is unpickled."""

from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class PolicyModel(PythonModel):
    """Actions `[B, *action]` for observations `[B, D]` float32, without exploration."""

    _skip_type_hint_validation = True  # the signature checks already

    def load_context(self, context: Any) -> None:
        from angle_domains.policy import load_policy

        self.policy = load_policy(context.artifacts["checkpoint"])

    # Without a type for the input: MLflow would take it for a schema of its own.
    def predict(self, context: Any, model_input, params: dict[str, Any] | None = None) -> np.ndarray:  # type: ignore[no-untyped-def]
        return self.policy.predict(np.asarray(model_input))


set_model(PolicyModel())
