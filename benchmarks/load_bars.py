"""Seconds and peak memory to read a large universe: one JSON line.

Writes a long Parquet table with open, high, low, close and volume of 7,500 symbols over 1,300 days (9.75 million rows)
to a temporary folder, and reads it in a process of its own on two threads.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

_CHILD = """
import json, sys, time
from pathlib import Path
from feeds.market.config import MarketConfig
from feeds.market.features import build_features
from feeds.market.read import read_bars
from feeds.split import time_splits
config = MarketConfig(path=sys.argv[1])
def peak():  # of this process alone: getrusage's counter is inherited from the parent
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
idle, begin, begin_cpu = peak(), time.perf_counter(), time.process_time()
bars, report = read_bars(config)
read, read_cpu, read_peak = time.perf_counter(), time.process_time(), peak()
features = build_features(bars, config, time_splits(bars.timestamp, config.splits)["train"])
done = time.perf_counter()
print(json.dumps({
    "rows": report.rows,
    "shape": list(bars.shape),
    "read_seconds": round(read - begin, 2),
    "read_cpu_seconds": round(read_cpu - begin_cpu, 2),
    "read_peak_mib": round(read_peak),
    "idle_mib": round(idle),
    "features": len(features.names),
    "features_seconds": round(done - read, 2),
    "features_peak_mib": round(peak()),
}))
"""


def write_table(path: Path, symbols: int, days: int) -> None:
    """Random walks, all symbols on all days, symbol after symbol."""
    chance = np.random.default_rng(0)
    close = 50.0 * np.exp(np.cumsum(chance.normal(0.0, 0.01, (symbols, days)), axis=1)).ravel()
    stamps = np.busday_offset("2018-01-01", np.arange(days), roll="forward").astype("datetime64[us]")
    frame = pl.DataFrame(
        {
            "timestamp": np.tile(stamps, symbols),
            "symbol": pl.Series([f"S{index:05d}" for index in range(symbols)]).gather(
                np.repeat(np.arange(symbols), days)
            ),
            "open": close * 0.999,
            "high": close * 1.01,
            "low": close * 0.99,
            "close": close,
            "volume": chance.integers(1_000, 100_000, symbols * days).astype(np.float64),
        }
    )
    frame.write_parquet(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=7_500)
    parser.add_argument("--days", type=int, default=1_300)
    chosen = parser.parse_args()
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bars.parquet"
        write_table(path, chosen.symbols, chosen.days)
        environment = {**os.environ, "POLARS_MAX_THREADS": "2", "PYTHONPATH": str(root)}
        command = [sys.executable, "-c", _CHILD, str(path)]
        child = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        result = json.loads(child.stdout)
        mebibytes = round(path.stat().st_size / 2**20)
    print(json.dumps({"benchmark": "load_bars", **result, "file_mib": mebibytes, "cpus": os.cpu_count()}))


if __name__ == "__main__":
    main()
