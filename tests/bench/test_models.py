"""What the benchmark of the models counts, on a few pixels."""

import numpy as np
import pytest
from bench.model_inputs import Pictures, by_our_ids, graphs
from bench.model_scores import Photo, conditions, confusion, false_positives, figures, pooled, score
from bench.models import holds, measure, unused, worst, worst_row

from segrt import ModelSpec
from segrt.runtime.errors import ModelError


def mask(*ids):
    return np.array([ids], np.uint8)


def photo(given=(0, 1, 1, 0), by_hand=(0, 1, 2, 255), value=100, name="1"):
    return Photo(name, np.full((1, len(given), 3), value, np.uint8), mask(*given), mask(*by_hand))


def test_a_mask_is_counted_against_both_labels():
    found = score(photo(), mask(0, 1, 2, 1))
    assert figures(found.given, ("tooth",))["tooth"] == {"iou": 0.3333, "recall": 0.5, "precision": 0.5}
    perfect = {"iou": 1.0, "recall": 1.0, "precision": 1.0}
    assert figures(found.by_hand, ("tooth", "gum")) == {"tooth": perfect, "gum": perfect}


def test_pixels_are_pooled_and_not_pictures():
    parts = [confusion(mask(1), mask(1), 2), confusion(mask(1, 1, 1), mask(0, 0, 0), 2)]
    assert figures(pooled(parts, 2), ("tooth",))["tooth"] == {"iou": 0.25, "recall": 0.25, "precision": 1.0}


def test_what_does_not_occur_has_no_figure():
    assert figures(confusion(mask(0), mask(0), 2), ("tooth",))["tooth"] == dict.fromkeys(("iou", "recall", "precision"))


def test_classes_are_found_by_name_and_unseen_pixels_stay_unseen():
    predict = by_our_ids(lambda _: mask(0, 1, 2, 3, 255), ("gum", "tongue", "tooth", "other"))
    assert predict(mask(0)).tolist() == [[2, 0, 1, 0, 255]]
    with pytest.raises(ModelError, match="cat, dog apart, expected a class 'tooth'"):
        by_our_ids(lambda image: image, ("cat", "dog"))


def test_conditions_group_by_share_of_tooth_sharpness_and_brightness():
    photos = []
    for number, teeth in enumerate((0, 1, 2, 5, 6, 10)):
        image = np.full((10, 10, 3), 20 * number, np.uint8)
        image[:, ::2] += np.uint8(10 * (6 - number))
        label = np.zeros((10, 10), np.uint8)
        label[:teeth] = 1
        photos.append(Photo(str(number), image, label, label))
    groups = conditions(photos, (10, 10))
    assert [groups[f"tooth {share}"] for share in ("< 10 %", "10-30 %", "> 30 %")] == [[0], [1, 2], [3, 4, 5]]
    assert [set(groups[name]) for name in ("blurred", "medium sharp", "sharp")] == [{4, 5}, {2, 3}, {0, 1}]
    assert [set(groups[name]) for name in ("dark", "medium bright", "bright")] == [{0, 1}, {2, 3}, {4, 5}]


def test_false_positives_are_shares_of_all_pixels_and_the_worst_frame():
    found = false_positives(lambda frame: frame, [mask(0, 0), mask(0, 1, 1, 2, 0, 0)], ("tooth", "gum"))
    assert found == {
        "frames": 2,
        "tooth": {"share": 0.25, "worst": 0.333333},
        "gum": {"share": 0.125, "worst": 0.166667},
    }


def test_the_worst_photos_say_whether_the_label_is_at_fault():
    photos = [photo(), photo(by_hand=(0, 1, 1, 0)), photo((0, 0), (0, 0))]
    scores = [score(photos[0], mask(0, 1, 2, 0)), score(photos[1], mask(0, 1, 1, 0)), score(photos[2], mask(0, 0))]
    assert worst(scores, 30) == [0, 1]
    row = {"photo": "1", "iou_given": 0.5, "iou_by_hand": 1.0, "given_label_by_hand": 0.5, "label_at_fault": True}
    assert worst_row(photos[0], scores[0]) == row
    assert not worst_row(photos[1], scores[1])["label_at_fault"]


class Model:
    """What `measure` needs of an opened model: here one that copies what the frame's pixels say."""

    def __init__(self, *names):
        self.classes, self.facts = names, {"bytes": 1}
        self.spec = ModelSpec((8, 8), ("other", *names), (0, 0, 0), (1, 1, 1))

    def predict(self, image):
        return np.minimum(image[..., 0], len(self.classes))


@pytest.mark.parametrize("names", [("tooth",), ("tooth", "gum")])
def test_models_with_gum_and_without_are_measured(names):
    truth = np.repeat(np.array([[0, 1, 2, 1]], np.uint8), 4, axis=0)
    image = np.repeat(truth[..., None], 3, axis=2)
    given = (truth == 1).astype(np.uint8)
    pictures = Pictures((Photo("1", image, given, truth),) * 3, ((image, given),), {"black": [image * 0]})
    row, scores = measure(Model(*names), pictures)
    assert len(scores) == 3
    assert set(row["by_hand"]) == set(names)
    assert row["by_hand"]["tooth"]["iou"] == (1.0 if "gum" in names else 0.6667)
    assert row["without_teeth"]["black"]["tooth"]["share"] == 0
    found = holds({"a fp32": row})
    assert found["a fp32"]["gum >= 0.7, by_hand"] is (True if "gum" in names else None)
    assert [found["a fp32"][f"false {name} <= 0.5%"] for name in names] == [True] * len(names)
    assert found["tooth, given"] == {"apart": 0.0, "apart <= 0.01": True}


def test_int8_is_held_against_its_own_fp32():
    def row(tooth):
        labels = {label: {"tooth": {"iou": tooth}} for label in ("given", "by_hand", "scan.mp4")}
        return labels | {"without_teeth": {"street": {"frames": 2, "tooth": {"share": 0.006}}}}

    found = holds({"a int8": row(0.89), "a fp32": row(0.9), "b int8": row(0.8)})
    assert found["a int8"]["tooth lost to fp32"] == 0.01
    assert not found["a int8"]["tooth lost <= 0.005"]
    assert not found["a int8"]["false tooth <= 0.5%"]
    assert not {"tooth lost to fp32"} & {*found["a fp32"], *found["b int8"]}
    assert found["tooth, by_hand"] == {"apart": 0.1, "apart <= 0.01": False}


def test_a_checkpoint_and_a_single_graph_have_no_other_precision():
    assert graphs("run/model.safetensors", ["int8", "fp32"]) == [None]
    assert graphs("teeth", None) == [None]


def test_two_models_of_one_name_are_told_apart():
    assert unused("teeth int8", {}) == "teeth int8"
    assert unused("teeth int8", {"teeth int8": 0, "teeth fp32": 0}) == "teeth int8 (2)"
