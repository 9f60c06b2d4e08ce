"""The ledger remembers through kills, and forgets what was removed."""

from pathlib import Path

from gifcli.formats.ledger import FileLedger


def test_names_survive_without_a_proper_end(tmp_path: Path) -> None:
    path = tmp_path / "exported"
    killed = FileLedger(path)
    for name in ("train/b\n.jpg", "train/🐈.jpg", "train/c.jpg"):
        killed.add(name)
    killed.discard("train/c.jpg")
    assert set(FileLedger(path)) == {"train/b\n.jpg", "train/🐈.jpg"}


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "exported"
    FileLedger(path).add("train/a.jpg")
    with path.open("a") as file:
        file.write('["+", "train/b')
    with FileLedger(path) as ledger:
        ledger.add("train/c.jpg")
    assert set(FileLedger(path)) == {"train/a.jpg", "train/c.jpg"}


def test_the_end_state_does_not_tell_the_way_there(tmp_path: Path) -> None:
    with FileLedger(tmp_path / "one") as one:
        for name in ("b", "a", "c"):
            one.add(name)
        one.discard("c")
    with FileLedger(tmp_path / "two") as two:
        two.add("a")
        two.add("b")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
