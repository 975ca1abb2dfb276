import json
from dataclasses import replace

import pytest
from tests.tiny import colour_spec

from segrt import ModelError, ModelSpec
from segrt.runtime.spec import GuardSettings


def test_a_spec_survives_its_json():
    spec = colour_spec(hidden=(0, 2), version="3", guard_settings=GuardSettings(flat_share=0.2, frozen_s=1))
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
        (
            {"guard_settings": GuardSettings(moved_level=256)},
            r"guard_settings.moved_level must be .* 0..255, found 256",
        ),
        ({"guard_settings": GuardSettings(flat_level=1.5)}, r"guard_settings.flat_level must be a whole number"),
        ({"guard_settings": GuardSettings(flat_share=-0.1)}, r"guard_settings.flat_share must be .* found -0.1"),
        ({"guard_settings": GuardSettings(frozen_s=float("nan"))}, "guard_settings.frozen_s must be .* found nan"),
        ({"guard_settings": GuardSettings(jump_level="4")}, "guard_settings.jump_level must be .* found '4'"),
        ({"guard_settings": {"frozen_s": 1}}, "guard_settings must be GuardSettings, found dict"),
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


def test_a_spec_of_before_the_guard_gets_its_defaults():
    raw = json.loads(colour_spec().to_json())
    assert raw.pop("guard_settings")["frozen_s"] == GuardSettings().frozen_s
    assert ModelSpec.from_json(json.dumps(raw)) == colour_spec()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frozen": 1}, "guard_settings of here has the unknown key 'frozen'; known are .*frozen_s"),
        ([1], "guard_settings of here must be a JSON object, found list"),
    ],
)
def test_guard_settings_that_are_none_are_refused(settings, message):
    raw = json.loads(colour_spec().to_json()) | {"guard_settings": settings}
    with pytest.raises(ModelError, match=message):
        ModelSpec.from_json(json.dumps(raw), origin="here")
