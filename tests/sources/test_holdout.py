from gifcli.records import Source
from gifcli.sources.holdout import SPLIT, choose, split_off


def sources(split: str = "train", **counts: int) -> list[Source]:
    return [
        Source(f"{label}{i}{split}", label, split, f"{label}/{i}.png", f"{(i * 7919) % 1000:03d}{label}", 1)
        for label, count in counts.items()
        for i in range(count)
    ]


def per_class(found: list[Source], aside: set[str]) -> dict[str, int]:
    return {
        label: sum(source.sha256 in aside for source in found if source.label == label)
        for label in {source.label: 0 for source in found}
    }


def test_the_share_of_each_class_at_least_one_and_never_all() -> None:
    found = sources(a=20, b=4, c=2, d=1)
    assert per_class(found, choose(found, 0.2, [], [])) == {"a": 4, "b": 1, "c": 1, "d": 0}
    assert per_class(found, choose(found, 0.99, [], [])) == {"a": 19, "b": 3, "c": 1, "d": 0}
    assert choose(found, 0.0, [], []) == set()


def test_the_choice_depends_on_content_not_on_order_or_names() -> None:
    found = sources(a=20)
    renamed = [Source(s.key, s.label, s.split, f"a/renamed-{s.path[2:]}", s.sha256, 1) for s in reversed(found)]
    assert choose(found, 0.3, [], []) == choose(renamed, 0.3, [], [])


def test_no_image_ever_changes_sides() -> None:
    before = sources(a=10)
    aside = choose(before, 0.2, [], [])
    trained = {source.sha256 for source in before} - aside
    after = choose(sources(a=40), 0.2, aside, trained)
    assert aside <= after
    assert not after & trained
    assert len(after) == 8


def test_only_train_gives_to_the_holdout() -> None:
    found = sources(a=10) + sources("val", a=10)
    parts = split_off(found, choose(found, 0.2, [], []))
    assert [source.split for source in parts[10:]] == ["val"] * 10
    assert [source.split for source in parts[:10]].count(SPLIT) == 2
    assert [source.key for source in parts] == [source.key for source in found]
