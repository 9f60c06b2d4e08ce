"""What gif says of this machine."""

import torch

from gifcli.doctor import PACKAGES, diagnose, models_present
from gifcli.models import choose_prior


def test_it_names_what_is_really_here() -> None:
    report = diagnose()
    assert report.versions["torch"] == torch.__version__.partition("+")[0]
    assert report.missing == []
    assert set(report.versions) == set(PACKAGES)
    assert report.gpus == [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    assert report.disk_free_gb > 0
    assert report.dtype in {"float32", "bfloat16", "float16"}
    assert report.why in "\n".join(report.to_lines())


def test_the_prior_that_auto_takes_is_ready() -> None:
    rows = models_present()
    assert choose_prior()[0] in [row["name"] for row in rows if row["kind"] == "prior"]
    assert all(row["revision"] and row["licence"] for row in rows)
