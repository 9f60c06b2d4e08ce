import pytest
import yaml

from gifcli.errors import RecipeError
from gifcli.recipe.recipe import Lent, dump_recipe, flatten, load_recipe, parse_assignments, read_recipe
from gifcli.recipe.schema import Recipe, parse_ratio


def problems(text: str, **overrides: object) -> list[str]:
    """What is wrong with a recipe, line by line after the first."""
    with pytest.raises(RecipeError) as caught:
        load_recipe(text, overrides, "r.yaml")
    assert caught.value.exit_code == 2
    return str(caught.value).split("\n  ")


def test_all_problems_are_reported_at_once_each_with_its_path() -> None:
    text = "prior: {strength: 5, stepps: 3}\nguides: [{name: consistency, wieght: 2}]\nratio: -1\nimage: {format: gif}"
    head, *lines = problems(text)
    assert head == "r.yaml has 5 problems"
    assert sorted(lines) == [
        "guides[0].wieght: unknown setting; did you mean `weight`?",
        "image.format: expected 'jpg', 'png' or 'webp'; found 'gif'",
        "prior.stepps: unknown setting; did you mean `steps`?",
        "prior.strength: expected a number from 0 to 1; found 5",
        "ratio: expected greater than 0; found -1",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("rati: 3", "rati: unknown setting; did you mean `ratio`?"),
        ("checks: {label: {quantil: 1}}", "checks.label.quantil: unknown setting; did you mean `quantile`?"),
        ("ratio: 2\nper_class: 9", "ratio and per_class: expected one of them, found both"),
        ("balance: true\nper_class: 9", "balance and per_class: expected one of them, found both"),
        ("prior: {steps: 1.5}", "prior.steps: expected a whole number or auto; found 1.5"),
        ("prior: {mirror: maybe}", "prior.mirror: expected true or false or auto; found 'maybe'"),
        ("guidance: null", "guidance: expected a section; found None"),
        ("guides: [3]", "guides[0]: expected a section; found 3"),
        ("input: {holdout: a%}", "input.holdout: expected a number; found 'a%'"),
        ("rng: 9223372036854775808", "rng: expected less than 9223372036854775808; found 9223372036854775808"),
        ("run: {batch_size: 0}", "run.batch_size: expected a number from 1 to 100000; found 0"),
    ],
)
def test_a_problem_is_one_clear_line(text: str, line: str) -> None:
    assert problems(text) == ["r.yaml has a problem", line]


@pytest.mark.parametrize(
    "text",
    [
        "ratio: many",
        "ratio: 1e9",
        "ratio: .nan",
        "rng: -1",
        "rng: 1.5",
        "input: {holdout: 100%}",
        "input: {holdout: a%}",
        "prior: {steps: 1.5}",
        "prior: 5",
        "guides: {}",
        "guides: [{name: beauty}]",
        "run: {workers: none}",
        "prior: null",
    ],
)
def test_values_out_of_range_are_refused_by_path(text: str) -> None:
    (line,) = problems(text)[1:]
    assert line.startswith(text.partition(":")[0])


@pytest.mark.parametrize("text", ["[1, 2]", "just words", "a: [", "a: b: c"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    (line,) = problems(text)
    assert line.startswith("r.yaml")


@pytest.mark.parametrize(
    ("value", "ratio"), [("5x", 5.0), ("2.5x", 2.5), ("3", 3.0), ("4×", 4.0), (1.5, 1.5), (" 2x ", 2.0)]
)
def test_ratio_is_read_as_people_write_it(value: object, ratio: float) -> None:
    assert Recipe(ratio=value).ratio == ratio


@pytest.mark.parametrize("prompt", ["a {lable}", "a {", "a }", "{}", "{0}", "{label.size}", "{label:d}"])
def test_a_prompt_has_no_other_fields(prompt: str) -> None:
    lines = problems("", **{"prior.prompt": prompt})
    known = "{label}, {domain} and {adjective} ({{ and }} for braces)"
    assert lines[1:] == [f"prior.prompt: expected no fields but {known}; found {prompt!r}"]


@pytest.mark.parametrize("prompt", ["2024", "{adjective} {label}, {domain}", "{{x}} {label!s:>4}"])
def test_prompts_that_can_be_filled_in_are_taken(prompt: str) -> None:
    assert load_recipe("", {"prior.prompt": prompt}, "x").prior.prompt == prompt


def test_numbers_are_read_from_text_as_flags_give_them() -> None:
    recipe = load_recipe("", {"run.batch_size": "8", "run.workers": "2", "input.holdout": "0"}, "x")
    assert (recipe.run.batch_size, recipe.run.workers, recipe.input.holdout) == (8, 2, 0.0)


def test_an_odd_ratio_is_told_with_an_example_of_a_right_one() -> None:
    with pytest.raises(ValueError, match="such as 5 or 5x; found 'x5'"):
        parse_ratio("x5")
    assert [parse_ratio(text) for text in (".5", "1e1", "5x", "2.5×")] == [0.5, 10, 5, 2.5]


@pytest.mark.parametrize(("value", "share"), [("20%", 0.2), ("12.5%", 0.125), (0.3, 0.3)])
def test_shares_are_read_as_percent_too(value: object, share: float) -> None:
    recipe = load_recipe("", {"input.holdout": value, "input.max_failures": value}, "x")
    assert recipe.input.holdout == recipe.input.max_failures == share


def test_overrides_reach_into_sections_and_lists() -> None:
    overrides = parse_assignments(["prior.strength=0.5", "guides[1].weight=3", "checks.label.top_k=2", "ratio=2x"])
    recipe = load_recipe(
        "guides: [{name: entropy}, {name: diversity}]\nprior: {strength: 0.1, steps: 2}", overrides, "x"
    )
    assert (recipe.prior.strength, recipe.prior.steps, recipe.checks.label.top_k, recipe.ratio) == (0.5, 2, 2, 2.0)
    assert [(guide.name, guide.weight) for guide in recipe.guides] == [("entropy", 1.0), ("diversity", 3.0)]


BLAMED = [
    ("ratio: 3", {"prior.strength": 2}, "the command line has a problem"),
    ("prior: {strength: 2}", {"ratio": 3}, "my.yaml has a problem"),
    ("prior: {strength: 2}", {"rng": -1}, "my.yaml with the command line has 2 problems"),
    ("ratio: 3", {"per_class": 9}, "my.yaml with the command line has a problem"),
    ("per_class: 9", {"ratio": Lent(3, "GIF_RATIO")}, "my.yaml with GIF_RATIO has a problem"),
    ("guides: [{name: entropy}]", {"guides[0].weight": "big"}, "the command line has a problem"),
    ("guides: [{name: entropy}]", {"guides[7].weight": 1}, "the command line has a problem"),
    ("prior: {strength: 2}", {"prior.strength": 0.5}, ""),
]


@pytest.mark.parametrize(("text", "overrides", "said"), BLAMED)
def test_a_problem_is_told_of_what_has_it(text: str, overrides: dict, said: str) -> None:
    if not said:  # what a flag replaces is no problem
        assert load_recipe(text, overrides, "my.yaml").prior.strength == 0.5
        return
    with pytest.raises(RecipeError) as caught:
        load_recipe(text, overrides, "my.yaml")
    assert str(caught.value).startswith(said)


def test_an_override_changes_one_guide_of_the_default_list() -> None:
    default = Recipe().guides
    guides = load_recipe("", {"guides[1].weight": 3}, "x").guides
    assert [guide.name for guide in guides] == [guide.name for guide in default]
    assert [guide.weight for guide in guides] == [default[0].weight, 3.0, *(guide.weight for guide in default[2:])]


def test_a_whole_list_can_be_set() -> None:
    assert load_recipe("", parse_assignments(["prior.domains=[a photo, a sketch]"]), "x").prior.domains == [
        "a photo",
        "a sketch",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "guides[7].weight",
        "guides.first.weight",
        "ratio.of.what",
        "prior.name.x",
        "ra tio",
        "[0]",
        ".",
        "[]",
        "guides.².weight",
    ],
)
def test_an_override_of_a_place_that_is_not_there_is_refused_by_path(path: str) -> None:
    lines = problems("ratio: 3", **{path: 1})
    assert len(lines) == 2
    assert path.split(".", maxsplit=1)[0].strip("[]") in lines[1]


@pytest.mark.parametrize("assignment", ["prior.strength", "=3", "prior.strength=[", ""])
def test_an_assignment_needs_a_path_and_a_yaml_value(assignment: str) -> None:
    with pytest.raises(RecipeError, match="--set"):
        parse_assignments([assignment])


def test_a_dumped_recipe_loads_as_itself() -> None:
    recipe = load_recipe(
        "prior: {domains: [größe], strength: 0.25}\nratio: 2.5x\nchecks: {drift: {enabled: false}}", {}, "x"
    )
    text = dump_recipe(recipe)
    assert load_recipe(text, {}, "x") == recipe
    assert flatten(yaml.safe_load(text))["checks.drift.enabled"] is False


def test_flatten_names_every_leaf() -> None:
    assert flatten({"a": {"b": 1}, "c": [{"d": 2}, 3], "e": [], "f": {}}) == {
        "a.b": 1,
        "c[0].d": 2,
        "c[1]": 3,
        "e": [],
        "f": {},
    }


def test_a_recipe_that_cannot_be_read_is_named(tmp_path) -> None:
    with pytest.raises(RecipeError, match=r"nowhere.yaml: expected a readable YAML recipe"):
        read_recipe(tmp_path / "nowhere.yaml", {})
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"binary.yaml: expected a readable YAML recipe"):
        read_recipe(tmp_path / "binary.yaml", {})
