"""Addresses without the secrets in them."""

import re

_USER = re.compile(r"://[^/?#\s]*@")  # to the last "@" before the path: a password may hold one
_QUERY = re.compile(r"([?&](?:user|\w*passw(?:or)?d|pwd|token|\w*secret)=)[^&#\s]+", re.IGNORECASE)
_MASKED = "***"


def mask(text: str) -> str:
    """The text with the user and password of every address in it left out."""
    return _QUERY.sub(rf"\g<1>{_MASKED}", _USER.sub(f"://{_MASKED}@", text))


def masked(uri: str) -> bool:
    """True where a secret of this address was left out by `mask`."""
    return mask(uri) == uri and (f"://{_MASKED}@" in uri or f"={_MASKED}" in uri)


def without_user(uri: str) -> str:
    """An address to follow: who may see it is asked there."""
    return _USER.sub("://", uri)
