"""Thresholds: what is asked for, else what the seeds say, within bounds."""

from dataclasses import replace

import numpy as np
import pytest

from gifcli.checks.thresholds import bits_apart, likeness, threshold


def test_the_setting_wins(rules):
    assert threshold(0.3, rules, "drift", 0.99) == 0.3
    assert likeness(0.3, rules, 0.95, 0.9) == 0.3
    assert bits_apart(0, rules, 0.95, 8) == 0


def test_else_it_is_a_quantile_of_the_seeds(rules):
    ramp = replace(rules, quantiles={"drift": np.linspace(0, 1, 101)})
    assert threshold(None, ramp, "drift", 0.255) == pytest.approx(0.255)


def test_without_seeds_to_measure_there_is_none(rules):
    assert threshold(None, replace(rules, quantiles={}), "drift", 0.5) is None


@pytest.mark.parametrize(("seen", "expected"), [(0.6, 0.95), (0.97, 0.97), (1.0, 0.98)])
def test_copies_are_more_alike_than_seeds_are(rules, seen, expected):
    """Unlike photographs; textures; a set with copies in it."""
    assert likeness(None, replace(rules, quantiles={"nearest": np.full(101, seen)}), 0.95, 0.95) == expected
    assert likeness(None, replace(rules, quantiles={}), 0.95, 0.95) == 0.95


@pytest.mark.parametrize(("seen", "expected"), [(20, 8), (6, 5), (0, 2)])
def test_hashes_of_copies_are_nearer_than_those_of_seeds(rules, seen, expected):
    """Unlike photographs; scans laid out alike; a set with copies in it."""
    assert bits_apart(None, replace(rules, quantiles={"nearest_bits": np.full(101, seen)}), 0.95, 8) == expected
    assert bits_apart(None, replace(rules, quantiles={}), 0.95, 8) == 8
