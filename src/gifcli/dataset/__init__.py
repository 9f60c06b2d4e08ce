"""The dataset a run writes, wherever it goes: files, manifest, sums, credentials; verified and made again from them."""
