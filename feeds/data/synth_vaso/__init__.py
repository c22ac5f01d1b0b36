"""Septic shock that is made up, in the full vasopressor schema; made when it is loaded. See DATASHEET.md."""

from pathlib import Path

from feeds.clinical.synth_vaso import load

FOLDER = Path(__file__).parent

__all__ = ["FOLDER", "load"]
