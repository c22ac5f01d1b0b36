"""The parts of simglucose (Xie 2018, MIT): patient, sensor, pump and meals, after the UVA/Padova simulator of 2008.

The package imports gym, which is unmaintained, and pins a gymnasium of 2023, so it cannot be installed beside ours with
what it asks for. Its parts need neither: they are imported here past the door of the package.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from feeds.errors import FeedError

PACKAGE = "simglucose"
REMEDY = "pip install --no-deps simglucose==0.2.11"


class Parts(NamedTuple):
    """Classes of the package, and where its tables of parameters lie."""

    patient: Any
    act: Any  # of a patient in a minute
    sensor: Any
    pump: Any
    meals: Any
    tables: Path


@cache
def parts() -> Parts:
    """FeedError where the package is not installed."""
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise FeedError(
            f"the feed 'glucose' needs the package simglucose: {REMEDY} (what it asks for itself would pull an old gym "
            "and gymnasium)"
        )
    folder = Path(next(iter(found.submodule_search_locations)))
    with _past_the_door(found, folder):
        body, sensor, pump, meals = (
            import_module(f"{PACKAGE}.{name}")
            for name in ("patient.t1dpatient", "sensor.cgm", "actuator.pump", "simulation.scenario_gen")
        )
    return Parts(
        body.T1DPatient, body.Action, sensor.CGMSensor, pump.InsulinPump, meals.RandomScenario, folder / "params"
    )


def make_patient(name: str) -> Any:
    """A virtual patient, in the state in which the tables have it."""
    import pandas as pd

    table = pd.read_csv(parts().tables / "vpatient_params.csv")
    row: Any = table.loc[table.Name == name].squeeze()
    start = np.array(row.iloc[2:15], np.float64)
    # plain attributes: the equations read some sixty of them several times a minute, slowly from a row of pandas
    known = SimpleNamespace(**{str(key): value for key, value in row.items()})
    return parts().patient(known, init_state=start)


@contextmanager
def _past_the_door(found: ModuleSpec, folder: Path) -> Iterator[None]:
    """The package without its `__init__`, which asks for gym, and setuptools' old way to find a file."""
    package = ModuleType(PACKAGE)
    package.__path__ = [str(folder)]
    package.__spec__ = found
    resources: Any = ModuleType("pkg_resources")
    resources.resource_filename = lambda _, name: str(folder / name)
    stand_ins = {PACKAGE: package, "pkg_resources": resources}
    before = {name: sys.modules.get(name) for name in stand_ins}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:  # whoever else imports the package gets the whole of it
        for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.")]:
            del sys.modules[name]
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
