#!/usr/bin/env bash
# The tables of the quickstart as Parquet, read by the examples for pandas and polars, and compared with the CSV cell by cell.
#
# Not part of the test suite: needs Python with pandas, pyarrow and polars. Usage: tests/scripts/parquet.sh [windtunnel], a build with
# `--features parquet`; without an argument the release build is used.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
windtunnel=$(realpath "${1:-$here/target/release/windtunnel}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

"$windtunnel" run --quiet --requests --out results >/dev/null
"$windtunnel" report results/quickstart --quiet --parquet >/dev/null
python3 "$here/examples/results_pandas.py" results/quickstart
python3 "$here/examples/results_polars.py" results/quickstart
python3 - <<'PYTHON'
from pathlib import Path
import pandas as pd

folder = Path("results/quickstart")
tables = sorted(folder.rglob("*.csv"))
for csv in tables:
    path = csv.relative_to(folder)
    text = pd.read_csv(csv)
    table = pd.read_parquet(folder / "parquet" / path.with_suffix(".parquet"))
    assert list(text.columns) == list(table.columns), path
    for column in text.columns:
        if pd.api.types.is_numeric_dtype(table[column]) and not pd.api.types.is_bool_dtype(table[column]):
            pd.testing.assert_series_equal(text[column], table[column], check_dtype=False, rtol=0, atol=0, obj=str(path))
        else:
            assert (text[column].fillna("").astype(str) == table[column].fillna("").astype(str)).all(), (path, column)
types = {str(dtype) for csv in folder.glob("requests/*.csv") for dtype in
         [pd.read_parquet(folder / "parquet" / "requests" / f"{csv.stem}.parquet")["arrival_ps"].dtype]}
assert types == {"int64"}, types
print(f"{len(tables)} tables are the same")
PYTHON
