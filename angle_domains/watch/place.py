"""Where a game is shown: in a window where there is a display, else as a film in the run's folder."""

from dataclasses import replace

from angle_domains.runs import fresh_name
from angle_domains.showing import Showing
from angle_domains.watch.film import NO_MP4, default_suffix
from angle_domains.watch.window import no_window


def placed(showing: Showing) -> tuple[Showing, list[str]]:
    """The showing with what it left open decided, and sentences about what cannot be had here."""
    filmed = showing.video is not None
    if showing.folder is None or (filmed and not showing.human):
        return showing, []
    missing = no_window()
    if missing is None:
        return replace(showing, human=True), []
    told = [f"{missing}: a film is made instead"]
    if filmed:
        return replace(showing, human=False), told
    suffix = default_suffix()
    if suffix != ".mp4":
        told.append(f"it is a {suffix}: {NO_MP4}")
    video = showing.folder / f"{fresh_name(showing.folder, 'play')}{suffix}"
    return replace(showing, human=False, video=video), told
