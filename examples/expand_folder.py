"""Expands a folder from Python, and loads what came of it.

python examples/expand_folder.py photos photos-5x 5x
"""

import sys

import pyarrow.parquet as pq

import gifcli


def main(source: str, output: str, ratio: str) -> None:
    """Expands `source` into `output`, and prints what each class got and why images were rejected."""
    summary = gifcli.expand(source, output, ratio=ratio, settings={"input.max_failures": "10%"})
    print(f"{summary.originals} originals + {summary.generated} generated, {summary.kept_share:.0%} kept")
    for label, missing in summary.shortfall.items():
        print(f"{label}: {missing} images short of the ratio")

    manifest = pq.read_table(f"{output}/manifest.parquet", columns=["label", "verdict", "reason"]).to_pylist()
    for row in manifest:
        if row["verdict"] == "rejected":
            print(f"{row['label']}: {row['reason']}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:4])
    except gifcli.GifError as error:
        sys.exit(f"error: {error}")
