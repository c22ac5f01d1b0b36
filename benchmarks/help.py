"""Seconds until `angle-domains --help` has answered, beside a bare interpreter: the median of ten, one JSON line."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time


def seconds(*words: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *words], capture_output=True, check=True)
    return time.perf_counter() - begun


def main() -> None:
    ours, bare = zip(*((seconds("-m", "angle_domains", "--help"), seconds("-c", "")) for _ in range(10)), strict=True)
    found = {"help_seconds": statistics.median(ours), "bare_interpreter_seconds": statistics.median(bare)}
    rounded = {name: round(value, 3) for name, value in found.items()}
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(json.dumps({"benchmark": "help", **rounded, "machine": machine}))


if __name__ == "__main__":
    main()
