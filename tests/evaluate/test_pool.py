import numpy as np

from gifcli.evaluate.pool import pool_of, split, subset

LABELS = np.repeat([0, 1, 2], [8, 3, 1])


def pool():
    """12 originals of three classes, two samples of each."""
    x = np.arange(12, dtype=np.float32)[:, None]
    return pool_of(x, LABELS.tolist(), np.repeat(x, 2, 0) + 0.5, np.repeat(np.arange(12), 2).tolist())


def test_a_split_is_stratified_and_leaves_every_class_something_to_train_on():
    train, aside = split(LABELS, 0.25, 0)
    assert sorted([*train, *aside]) == list(range(12))
    assert np.bincount(LABELS[aside], minlength=3).tolist() == [2, 1, 0]
    assert not np.array_equal(aside, split(LABELS, 0.25, 1)[1])


def test_children_go_where_their_original_goes():
    train, _ = split(LABELS, 0.25, 0)
    part = pool().of_parents(train)
    assert part.originals == len(train)
    assert part.generated == 2 * len(train)
    assert np.floor(part.x[part.originals :, 0]).tolist() == np.repeat(part.x[: part.originals, 0], 2).tolist()
    assert (part.labels == part.labels[part.parents]).all()
    assert (part.x[: part.originals, 0] == train).all()


def test_smaller_subsets_lie_in_larger_ones():
    small, large = subset(LABELS, 0.35, 3), subset(LABELS, 0.6, 3)
    assert set(small) < set(large)
    assert np.bincount(LABELS[small]).tolist() == [3, 1, 1]
