"""Samples that copy a training image of the prior are told; seeds that the prior has not seen say what is usual."""

import numpy as np
import pytest
import torch

from gifcli.checks import Table
from gifcli.checks.memorised import LEAST, MemorisedCheck
from gifcli.judge.memory_index import PriorMemory, build


@pytest.fixture(scope="module")
def memory(encoder, seeds):
    """An index of the seeds of three classes, as if a prior had been trained on them."""
    pixels = [seed.pixels for seed in seeds if seed.label in {"brick", "coffee", "grass"}]
    images = [torch.from_numpy(each).permute(2, 0, 1)[None].float() / 127.5 - 1 for each in pixels]
    with torch.no_grad():
        features = torch.cat([encoder.images(image, 128) for image in images]).numpy()
    return PriorMemory(build(features, 16, 128, "test"), encoder.images)


@pytest.fixture
def columns(memory, rules, seeds, make_pair):
    """Of gravel1: a training image, itself; of gravel0: itself."""
    by_key = {seed.key: seed for seed in seeds}
    images = [by_key["coffee1"].pixels, by_key["gravel1"].pixels, by_key["gravel0"].pixels]
    parents = [by_key["gravel1"], by_key["gravel1"], by_key["gravel0"]]
    measured = MemorisedCheck(rules, memory=memory).measure(*make_pair(images, parents))
    return measured | {"seed": np.array([parent.key for parent in parents])}


def test_a_training_image_is_near_to_itself(columns):
    assert columns["nn_prior"][0] > 0.98
    assert columns["nn_prior"][1:].max() < 0.95
    assert columns["nn_prior"][1:] == pytest.approx(columns["nn_prior_seed"][1:], abs=1e-5)


def test_rejects_copies_only(rules, columns):
    copy, other, third = MemorisedCheck(rules).judge(Table(columns, {}))
    assert copy.startswith("memorised: similarity 0.99")
    assert (other, third) == (None, None)
    assert MemorisedCheck(rules, max_similarity=1.1).judge(Table(columns, {})) == [None] * 3


def test_the_limit_is_a_quantile_of_the_seeds_each_once(rules):
    columns = {"seed": np.array(["a", "a", "a", "b"]), "nn_prior_seed": np.array([0.96, 0.96, 0.96, 0.97])}
    check = MemorisedCheck(rules, quantile=0.5)
    assert check.thresholds(Table(columns, {})) == {"max_similarity": pytest.approx(0.965)}
    few = {"seed": np.array(["a"]), "nn_prior_seed": np.array([0.2])}
    assert check.thresholds(Table(few, {})) == {"max_similarity": LEAST}


def test_without_an_index_nothing_is_said(rules):
    assert MemorisedCheck(rules).judge(Table({"seed": np.array(["a"])}, {})) == [None]
