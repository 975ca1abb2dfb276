import hashlib
import json
from dataclasses import replace

import pytest
from tests.tiny import colour_spec

from segrt import ModelError
from segrt.runtime.model import load
from segrt.runtime.plan_file import (
    PlanKey,
    PlanRecord,
    model_of,
    move_plan,
    read_plan,
    read_record,
    record_path,
    remove_plan,
    write_plan,
)

KEY = PlanKey("tensorrt_rtx", "1.7.1.116", "Linux x86_64", "", "8.6 8.9", "a" * 64, "", "strongly typed")
RECORD = PlanRecord(
    KEY, hashlib.sha256(b"plan").hexdigest(), "net.onnx", "image", "logits", colour_spec(), "int8", "a defect"
)


@pytest.fixture
def path(tmp_path):
    write_plan(tmp_path / "net.engine", b"plan", RECORD)
    return tmp_path / "net.engine"


def test_a_plan_and_what_it_is_good_for_come_back_as_written(path):
    assert read_record(path) == RECORD
    assert read_plan(path, RECORD) == b"plan"
    assert sorted(file.name for file in path.parent.iterdir()) == ["net.engine", "net.engine.json"]
    remove_plan(path)
    assert not list(path.parent.iterdir())
    remove_plan(path)


def test_every_field_of_a_key_changes_its_digest():
    others = {"package": "tensorrt", "schema": 2}
    names = list(KEY.__dataclass_fields__)
    digests = {replace(KEY, **{name: others.get(name, "another")}).digest() for name in names}
    assert len(digests | {KEY.digest()}) == len(names) + 1


def test_a_key_reads_as_what_it_is_good_for():
    assert str(KEY) == "tensorrt_rtx 1.7.1.116, any GPU of compute capability 8.6 8.9, Linux x86_64"


def test_equal_keys_differ_in_nothing():
    assert KEY.differences(replace(KEY)) == ""


def changed(path, change):
    raw = json.loads(record_path(path).read_text())
    change(raw)
    record_path(path).write_text(json.dumps(raw))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: record_path(path).unlink(), "lacks net.engine.json"),
        (lambda path: record_path(path).write_bytes(b"\xff{"), "is damaged"),
        (lambda path: record_path(path).write_text("null"), "does not describe an engine"),
        (lambda path: changed(path, lambda raw: raw["key"].update(colour=1)), "does not describe an engine"),
        (lambda path: changed(path, lambda raw: raw["key"].pop("gpu")), "does not describe an engine"),
        (lambda path: changed(path, lambda raw: raw.pop("plan_sha256")), "does not describe an engine"),
        (lambda path: changed(path, lambda raw: raw["spec"].pop("mean")), "lacks 'mean'"),
    ],
)
def test_a_damaged_record_is_one_line(damage, message, path):
    damage(path)
    with pytest.raises(ModelError, match=message) as caught:
        read_record(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"pla", b"plam", None])
def test_a_plan_whose_hash_is_wrong_is_never_returned(data, path):
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(ModelError, match="damaged" if data is not None else "cannot be read"):
        read_plan(path, RECORD)


def test_a_record_that_cannot_be_written_takes_its_plan_along(tmp_path):
    (tmp_path / "net.engine.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_plan(tmp_path / "net.engine", b"plan", RECORD)
    assert [file.name for file in tmp_path.iterdir()] == ["net.engine.json"]


def test_a_plan_moves_with_its_record_or_not_at_all(path, tmp_path):
    target = tmp_path / "teeth.engine"
    target.write_bytes(b"the old one")
    move_plan(path, target)
    assert read_plan(target, read_record(target)) == b"plan"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["teeth.engine", "teeth.engine.json"]
    (tmp_path / "other.engine.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        move_plan(target, tmp_path / "other.engine")
    assert not (tmp_path / "other.engine").exists()


def test_an_engine_is_a_model_whose_spec_lies_beside_it(path):
    model = load(path, {"fit": "crop", "class_names": ("a", "b", "c", "d")}, backend="tensorrt")
    assert (model.path, model.input_name, model.output_name) == (path, "image", "logits")
    assert (model.arithmetic, model.defect) == ("int8", "a defect")
    assert (model.spec.fit, model.spec.class_names, model.spec.mean) == ("crop", ("a", "b", "c", "d"), RECORD.spec.mean)
    assert len(model.spec.palette) == 4


def test_an_engine_is_for_tensorrt_and_its_size_is_fixed(path):
    with pytest.raises(ModelError, match="is an engine of TensorRT and openvino was chosen: run it by --backend ten"):
        model_of(path, None, "openvino")
    for given in ({"input_hw": (64, 64)}, {"colour": 1}):
        with pytest.raises(ModelError, match="of an engine cannot be given"):
            model_of(path, given)
