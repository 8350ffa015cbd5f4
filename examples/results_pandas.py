"""P99 TTFT of each system, compared with the reference seed by seed, from the Parquet tables of a result folder.

    windtunnel run --out results && windtunnel report results/quickstart --parquet      # built with --features parquet
    python examples/results_pandas.py results/quickstart

Needs pandas and pyarrow. Without Parquet: pd.read_csv(folder / "summary.csv") has the same columns.
"""

import json
import sys
from pathlib import Path

import pandas as pd

folder = Path(sys.argv[1])
runs = pd.read_parquet(folder / "parquet" / "summary.parquet")
reference = json.loads((folder / "summary.json").read_text())["reference"]

# Every system saw the same requests at the same seed, so the ratio of a pair has less noise than either number.
runs = runs[~runs["bound"]]
pairs = runs.pivot(index=["point", "seed"], columns="system", values="ttft_p99_s")
ratios = pairs.div(pairs[reference], axis=0).groupby("point").agg(["mean", "min", "max"])
print(f"P99 TTFT over that of {reference}")
print(ratios.stack(level=0, future_stack=True).round(2).to_string())
