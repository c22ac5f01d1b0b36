"""Settings of the models that learn beside an agent, light to import."""

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from feeds.settings import Settings


class PatientModelConfig(Settings):
    """How the model is fitted and how wary it is."""

    members: PositiveInt = 5
    hidden: tuple[PositiveInt, ...] = (128, 128)
    updates: PositiveInt = 3_000
    batch: PositiveInt = 256
    learning_rate: PositiveFloat = 1e-3
    pessimism: NonNegativeFloat = 1.0  # rewards of one standard deviation lost for a disagreement as wide as a change
    support: float = Field(default=0.02, ge=0, lt=1)  # discrete actions rarer than that in such states are forbidden
    longest: PositiveInt | None = None  # decisions of an episode; None: those of the longest recorded one
    seed: NonNegativeInt = 0
