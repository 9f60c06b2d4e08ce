"""Rules survive a round trip byte by byte, are readable, and need no torch."""

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from gifcli.errors import InputError
from gifcli.rules.induce import induce
from gifcli.rules.rules import Rules, digest, drift, dump, load, parse, save


def make() -> Rules:
    g = np.random.default_rng(0)
    features = np.repeat(np.eye(3, 12), 4, axis=0) + 0.1 * g.normal(size=(12, 12))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    labels = ["café", "- dash", "123"]
    names = [f"{labels[i // 4]}/{i}.jpg" for i in range(12)]
    return induce(
        features, np.arange(12) // 4, labels, names, text=features[[0, 4, 8]], measures={"sharpness": np.arange(12)}
    )


def test_a_round_trip_changes_nothing(tmp_path: Path) -> None:
    rules = make()
    save(rules, tmp_path / "rules")
    back = load(tmp_path / "rules")
    for each in fields(Rules):
        old, new = getattr(rules, each.name), getattr(back, each.name)
        if each.name == "quantiles":
            by_class = [f"sharpness/{label}" for label in range(3)]
            assert list(old) == list(new) == ["drift", "label_prob", "nearest", "sharpness", *by_class]
            assert all(np.array_equal(old[name], new[name]) for name in old)
        elif isinstance(old, np.ndarray):
            assert np.array_equal(old, new)
            assert old.dtype == new.dtype
        else:
            assert old == new
    assert dump(back) == dump(rules) == dump(make())
    assert parse(dump(replace(rules, text=None))).text is None


def test_a_person_can_read_them() -> None:
    page = yaml.safe_load(dump(make())["rules.yaml"])
    assert page["accuracy"]["prototype"] == 1.0
    assert page["summary"]["café"]["count"] == 4
    assert len(page["summary"]["café"]["typical"]) == 3
    assert page["summary"]["café"]["unusual"][0].startswith("café/")
    assert "café" in dump(make())["rules.yaml"].decode()


def test_the_digest_follows_the_content() -> None:
    rules = make()
    assert digest(rules) == digest(parse(dump(rules)))
    assert digest(replace(rules, tau=rules.tau + 1)) != digest(rules)
    assert digest(replace(rules, prototypes=-rules.prototypes)) != digest(rules)


@pytest.mark.parametrize("damage", ["missing", "cut", "text", "field"])
def test_damage_is_said_in_one_line(damage: str) -> None:
    files = dump(make())
    match damage:
        case "missing":
            del files["rules.safetensors"]
        case "cut":
            files["rules.safetensors"] = files["rules.safetensors"][:100]
        case "text":
            files["rules.yaml"] = b"\xff{"
        case _:
            files["rules.yaml"] = b"tau: 3\n"
    with pytest.raises(InputError, match="refresh-rules") as error:
        parse(files)
    assert "\n" not in str(error.value)


def test_drift_is_the_distance_to_the_own_classs_nearest_prototype() -> None:
    rules = make()
    at_home = drift(rules, rules.prototypes, rules.owners)
    assert np.allclose(at_home, 0, atol=1e-6)
    assert drift(rules, rules.prototypes, (rules.owners + 1) % 3).min() > 0.5
    assert drift(rules, rules.prototypes, np.full(len(rules.owners), -1)).max() == 0


def test_no_torch() -> None:
    code = "import sys, gifcli.rules.rules, gifcli.rules.induce; sys.exit('torch' in sys.modules)"
    path = str(Path(__file__).parents[2] / "src")
    assert (
        subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); {code}"], check=False
        ).returncode
        == 0
    )
