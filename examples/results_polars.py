"""Where the time of the requests around P99 TTFT goes, by system, from the Parquet tables of a result folder.

    windtunnel run --out results && windtunnel report results/quickstart --parquet      # built with --features parquet
    python examples/results_polars.py results/quickstart

Needs polars. Without Parquet: pl.read_csv(folder / "ledger.csv") has the same columns.
"""

import sys
from pathlib import Path

import polars as pl

folder = Path(sys.argv[1])
ledger = pl.scan_parquet(folder / "parquet" / "ledger.parquet")

run = ["system", "bound", "point", "load", "rate_per_s", "seed", "saturation", "group", "requests"]
causes = [name for name in ledger.collect_schema().names() if name not in run]
shares = (
    ledger.filter(~pl.col("bound"), pl.col("group") == "ttft-p99")
    .group_by("system", "point")
    .agg(pl.col(causes).mean())
    .with_columns(pl.col(causes) / pl.sum_horizontal(causes))
    .unpivot(causes, index=["system", "point"], variable_name="cause", value_name="share")
    .filter(pl.col("share") > 0.1)
    .sort("point", "system", "share", descending=[False, False, True])
    .collect()
)
with pl.Config(tbl_rows=40, tbl_hide_dataframe_shape=True, float_precision=2):
    print(shares)
