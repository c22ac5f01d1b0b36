"""The command line `angle-domains`. Nothing heavy is imported before a command needs it: `--help` answers at once."""

import errno
import sys
import traceback
from collections.abc import Sequence

from angle_domains.cli.machine import settle
from angle_domains.errors import AngleError, CheckpointError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives the exit code: 0 success, 2 wrong use, 1 failure, 128 + n for signal n.

    A mistake becomes one sentence on standard error; `--debug`, anywhere on the line, shows the traceback too. A full
    disk is a 2 wherever it is met.
    """
    settle()
    if "" not in sys.path:  # the current folder, for `--env my_package:MyEnv-v0`; last: it hides no installed package
        sys.path.append("")
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        from angle_domains.cli.app import app

        app([word for word in given if word != "--debug"], prog_name="angle-domains")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except KeyboardInterrupt:  # while the libraries load
        _tell("interrupted before anything began", debug)
        return 130
    except AngleError as error:
        _tell(str(error), debug)
        return error.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _tell(f"{where}{error.strerror or error} (--debug shows where it happened)", debug)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)  # as where a checkpoint meets it
        return CheckpointError.exit_code if full else 1
    except Exception as error:
        said = str(error).strip() or "no message"
        _tell(f"{type(error).__name__}: {said}\nThis was not foreseen; --debug shows where it happened.", debug)
        return 1
    return 0


def _tell(sentence: str, debug: bool) -> None:
    """A red panel on a terminal, plain text elsewhere."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    if debug:
        traceback.print_exc()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if console.is_terminal and not console.is_dumb_terminal:
        console.print(Panel(Text(sentence), title="Error", title_align="left", border_style="red"), soft_wrap=False)
    else:
        console.print(f"error: {sentence}", markup=False)
