import json
from dataclasses import replace

import pytest
from tests.tiny import colour_spec

from segrt import ModelError, ModelSpec


def test_a_spec_survives_its_json():
    spec = colour_spec(hidden=(0, 2), version="3")
    assert ModelSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ()}, "1..255 classes, found 0"),
        ({"class_names": tuple(str(i) for i in range(256))}, "1..255 classes, found 256"),
        ({"class_names": ("a", "a"), "palette": ()}, "differ"),
        ({"class_names": ("a", "")}, "must not be empty"),
        ({"std": (1.0, 0.0, 1.0)}, "std positive"),
        ({"mean": (float("nan"), 0.0, 0.0)}, "three numbers"),
        ({"input_hw": (0, 480)}, "input_hw"),
        ({"palette": ((0, 0, 0),)}, "4 classes need as many"),
        ({"palette": ((0, 0, 256),) * 4}, "0..255"),
        ({"hidden": (4,)}, "among 0..3"),
    ],
)
def test_a_value_out_of_range_is_named(changes, message):
    with pytest.raises(ModelError, match=message):
        replace(colour_spec(), **changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "must be a JSON object, found list"),
        ('{"classes": 3}', "unknown key 'classes'"),
        ('{"input_hw": [4, 4]}', "lacks 'class_names'"),
    ],
)
def test_json_that_is_no_spec_is_refused(text, message):
    with pytest.raises(ModelError, match=f"^here .*{message}"):
        ModelSpec.from_json(text, origin="here")


def test_an_unknown_fit_is_refused_by_name():
    raw = json.loads(colour_spec().to_json()) | {"fit": "squeeze"}
    with pytest.raises(ModelError, match="squeeze"):
        ModelSpec.from_json(json.dumps(raw))


def test_classes_beyond_the_palette_get_colours_again():
    names = tuple(str(i) for i in range(150))
    assert len(ModelSpec((4, 4), names, (0, 0, 0), (1, 1, 1)).palette) == 150
