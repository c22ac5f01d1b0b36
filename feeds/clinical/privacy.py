"""Names for patients that name nobody: what errors, reports and logs may say of one."""

import hashlib
import os
import secrets

SALT = "ANGLE_DOMAINS_SALT"  # environment variable; with it names are the same in every process
_salt = secrets.token_bytes(16)


def pseudonym(identity: str) -> str:
    """Eight hexadecimal digits, salted: who does not hold the salt cannot try out identities."""
    salt = os.environ[SALT].encode() if os.environ.get(SALT) else _salt
    return hashlib.blake2b(identity.encode(), key=hashlib.sha256(salt).digest(), digest_size=4).hexdigest()


def share(identity: str, seed: int) -> float:
    """A number in [0, 1) that hangs on identity and seed alone."""
    digest = hashlib.blake2b(identity.encode(), key=str(seed).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64
