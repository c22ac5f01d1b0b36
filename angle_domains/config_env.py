"""Environments by name: which feed plays the one that --env gives."""

from fnmatch import fnmatchcase

from angle_domains.config_text import Layers, Source
from angle_domains.errors import ConfigError, nearest
from angle_domains.tables import FEEDS, FeedEntry, feed_entry, names, resolve


def feed_of_env(env: str) -> str | None:
    """The feed that knows an environment of this name; None where no feed does."""
    for name in names(FEEDS, "angle_domains.feeds"):
        entry = feed_entry(name)
        if any(fnmatchcase(env, pattern) for pattern in entry.envs) or (entry.knows and resolve(entry.knows)(env)):
            return name
    return None


def known_envs() -> list[str]:
    """What --env may give, as far as feeds list it."""
    entries = [feed_entry(name) for name in names(FEEDS, "angle_domains.feeds")]
    return [name for entry in entries for name in (*entry.envs, *(resolve(entry.listing)() if entry.listing else ()))]


def match_env(env: str, asked: Layers) -> None:
    """Names the feed by its environment, or checks that the feed that is named knows it."""
    owner, feed = feed_of_env(env), _named_feed(asked)
    if feed is not None and _judges_itself(feed_entry(feed)):
        return
    if owner is None or (feed is not None and feed != owner):
        meant = None if feed is None else _meant(env, feed)
        told = f"is unknown: {nearest(env, known_envs()) if meant is None else meant}"
        if owner:
            told = f"belongs to the feed '{owner}', not to '{feed}'" + ("" if meant is None else f": {meant}")
        raise ConfigError(f"--env {env}: this environment {told}")
    asked.put(("feed", "name"), owner, Source("--env", "--env"))


def _meant(env: str, feed: str) -> str | None:
    """The feed's own environment of that name, as `MinAtar/Breakout-v1` for Breakout."""
    listing = feed_entry(feed).listing
    own = [name for name in (resolve(listing)() if listing else ()) if env.lower() in name.lower()]
    return f"did you mean '{own[0]}'?" if len(own) == 1 else None


def _judges_itself(entry: FeedEntry) -> bool:
    """A feed that does not list its environments judges the name itself."""
    return not entry.envs and entry.knows is None


def _named_feed(asked: Layers) -> str | None:
    group = asked.values.get("feed")
    name = group.get("name") if isinstance(group, dict) else None
    return None if name is None else str(name)
