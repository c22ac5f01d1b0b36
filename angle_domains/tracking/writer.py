"""The one thread that talks to the store, so that the training loop never waits for it."""

import gc
import logging
import threading
import time
from collections.abc import Callable

from angle_domains.addresses import mask
from angle_domains.tracking.courier import Courier, NotYet

INTERVAL = 1.5  # seconds between requests
LONGEST_WAIT = 15.0  # seconds between tries while the store is away
_LAST_TRIES, _LAST_PAUSE = 3, 0.5  # at the end of a run
# Seconds that the end of a run waits for a store that is slow; a signal must be obeyed within ten.
PATIENCE: dict[str, float] = {"FINISHED": 60.0, "FAILED": 60.0, "KILLED": 8.0}

_logger = logging.getLogger(__name__)


class Writer:
    """Delivers a journal every `interval` seconds, and after failures with growing pauses."""

    def __init__(self, courier: Courier, first: Callable[[], object], *, interval: float = INTERVAL) -> None:
        """`first` runs once, as soon as the store has answered."""
        self.courier, self.interval = courier, interval
        self._first: Callable[[], object] | None = first
        self.problem = ""  # why the last try failed
        self._signal, self._contact, self._over = threading.Event(), threading.Event(), threading.Event()
        self._closing = self._told = False
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_for_contact(self, seconds: float) -> bool:
        """True as soon as the store has taken the run in; False after so many seconds or a failed try."""
        self._contact.wait(seconds)
        return self.courier.delivery.run_id is not None

    def close(self, patience: float) -> bool:
        """Asks for a last delivery and waits for it; True where everything arrived."""
        self._closing = True
        self._signal.set()
        self._over.wait(patience)
        return self.courier.done

    def _work(self) -> None:
        pause, tries = self.interval, _LAST_TRIES
        while tries:
            closing = self._closing
            pause = self._try(pause)
            self._contact.set()
            if not closing:
                self._signal.wait(pause)
                self._signal.clear()
                continue
            tries = tries - 1 if self.problem else 0
            time.sleep(_LAST_PAUSE * bool(tries))
        self.courier.journal.close()
        self._over.set()

    def _try(self, pause: float) -> float:
        """Seconds until the next try."""
        began = time.monotonic()
        try:
            self.courier.deliver()
            self._greet()
        except NotYet as error:
            self.problem = str(error)
            return self.interval
        except Exception as error:  # whatever it is, training must go on: it is told, and tried again
            self._tell(error)
            return min(max(pause, self.interval) * 2, LONGEST_WAIT)
        self.problem = ""
        if self._told:
            self._told = False
            _logger.warning("%s answers again: what was kept has been sent", self.courier.store.shown)
        return max(self.interval - (time.monotonic() - began), 0.05)

    def _greet(self) -> None:
        if self._first is not None:
            self._first()
            self._first = None  # where it failed it is tried again
            # MLflow's modules are half a million objects: looking through them at every full collection, which the
            # database layer causes often, would stop the training thread for 300 ms each time.
            gc.freeze()

    def _tell(self, error: Exception) -> None:
        self.problem = mask(f"{type(error).__name__}: {error}".splitlines()[0])[:300]
        if not self._told:
            self._told = True
            _logger.warning(
                "%s does not take what is logged (%s); training goes on, the lines are kept in %s",
                self.courier.store.shown,
                self.problem,
                self.courier.journal.path,
            )
