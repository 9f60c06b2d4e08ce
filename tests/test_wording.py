from gifcli.wording import are, did_you_mean, number_of


def test_one_is_not_many() -> None:
    assert [number_of(count, "image") for count in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert [number_of(count, "class", "classes") for count in (1, 3)] == ["1 class", "3 classes"]
    assert [are(count) for count in (0, 1, 2)] == ["are", "is", "are"]


def test_the_nearest_name_is_asked_for() -> None:
    assert did_you_mean("embeded", ["classical", "embedded"]) == "; did you mean `embedded`?"
    assert did_you_mean("soup", ["classical", "embedded"]) == ""
