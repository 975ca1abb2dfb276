import json
import logging
import multiprocessing
import os
import resource
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.tiny import colour_spec

from segrt import EngineError
from segrt.runtime.engines.engine_cache import EngineCache
from segrt.runtime.plan_file import PlanKey, PlanRecord, record_path

KEY = PlanKey(
    package="tensorrt",
    version="10.16.1.11",
    system="Linux x86_64",
    gpu="NVIDIA H200",
    capability="9.0",
    onnx_sha256="a" * 64,
    profile="image 1x3x32x32 1x3x32x32 1x3x32x32",
    options="strongly typed",
)
SOURCE = "/models/teeth.onnx"


def record_of(key, source=SOURCE):
    return lambda sha256: PlanRecord(key, sha256, source, "image", "logits", colour_spec())


def take(cache, key=KEY, source=SOURCE, plan=b"a plan", **options):
    """What the cache gives, and how often it had to build."""
    builds = []

    def build():
        builds.append(key)
        return plan

    return cache.get("teeth", key, source, build, record_of(key, source), **options), len(builds)


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path / "cache" / "tensorrt")


def test_the_second_time_nothing_is_built(cache, caplog):
    first, builds = take(cache)
    assert (first.data, first.cached, first.note, builds) == (b"a plan", False, "plan new", 1)
    assert "building a TensorRT plan for /models/teeth.onnx (" in caplog.text
    caplog.clear()
    second, builds = take(cache)
    assert (second.data, second.cached, second.note, builds) == (b"a plan", True, "plan from cache", 0)
    assert not caplog.text


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("package", "tensorrt_rtx", "built by tensorrt 10.16.1.11, needed is tensorrt_rtx 10.16.1.11"),
        ("version", "11.4.0.106", "built by tensorrt 10.16.1.11, needed is tensorrt 11.4.0.106"),
        ("system", "Linux aarch64", "built on Linux x86_64, needed is Linux aarch64"),
        ("gpu", "NVIDIA L4", "built for NVIDIA H200 of compute capability 9.0, needed is NVIDIA L4"),
        ("capability", "8.9", "needed is NVIDIA H200 of compute capability 8.9"),
        ("onnx_sha256", "b" * 64, "built from an .onnx of hash aaaaaaaaaaaaaaaa, needed is bbbbbbbbbbbbbbbb"),
        ("profile", "image 1x3x64x64 1x3x64x64 1x3x64x64", "its shapes are image 1x3x32x32"),
        ("options", "strongly typed, optimisation level 5", "its options are strongly typed, needed is"),
        ("schema", 0, "its schema is 1, needed is 0"),
    ],
)
def test_a_plan_that_differs_in_anything_is_not_used_and_it_is_said_why(field, value, words, cache, caplog):
    take(cache)
    caplog.clear()
    other = replace(KEY, **{field: value})
    with pytest.raises(EngineError, match="strict: ") as caught:
        take(cache, other, strict=True)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    found, builds = take(cache, other, plan=b"another plan")
    assert (found.data, builds) == (b"another plan", 1)
    assert "again: " in caplog.text
    assert words in caplog.text
    assert take(cache, other, strict=True) == ((b"another plan", True, "plan from cache"), 0)


def test_a_first_build_is_no_rebuild_and_strict_allows_it(cache):
    assert take(cache, strict=True)[1] == 1
    assert take(cache, replace(KEY, onnx_sha256="c" * 64), "/models/other.onnx", strict=True)[1] == 1


def test_only_the_plan_of_an_overwritten_model_file_is_removed(cache):
    take(cache)
    take(cache, replace(KEY, version="11.4.0.106"))
    take(cache, replace(KEY, onnx_sha256="c" * 64), "/models/other.onnx")
    take(cache, replace(KEY, onnx_sha256="b" * 64))
    assert take(cache, replace(KEY, onnx_sha256="c" * 64), "/models/other.onnx")[1] == 0
    assert len(list(cache.folder.glob("*.engine"))) == 2
    assert len(list(cache.folder.glob("*.json"))) == 2


DAMAGES = {
    "a plan with a flipped bit": lambda plan: plan.write_bytes(b"a pla\xee"),
    "a plan cut short": lambda plan: plan.write_bytes(b"a"),
    "an empty plan": lambda plan: plan.write_bytes(b""),
    "no JSON": lambda plan: record_path(plan).unlink(),
    "half a JSON": lambda plan: record_path(plan).write_text(record_path(plan).read_text()[:99]),
    "another JSON": lambda plan: record_path(plan).write_text("[1, 2]"),
    "a JSON without a key": lambda plan: record_path(plan).write_text("{}"),
    "a JSON that says another GPU": lambda plan: record_path(plan).write_text(
        record_path(plan).read_text().replace("NVIDIA H200", "NVIDIA L4")
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_plan_is_built_again_aloud_or_refused(damage, cache, caplog):
    take(cache)
    caplog.clear()
    damage(cache.path("teeth", KEY))
    with pytest.raises(EngineError, match=r"strict: .*; run once without --strict"):
        take(cache, strict=True)
    assert take(cache)[1] == 1
    assert "again: " in caplog.text
    assert take(cache)[1] == 0


def test_a_plan_that_tensorrt_refused_is_gone(cache, caplog):
    take(cache)
    cache.reject("teeth", KEY, "bad magic")
    assert "thrown away: bad magic" in caplog.text
    assert take(cache)[1] == 1


def test_a_failed_build_leaves_nothing(cache):
    def build():
        raise EngineError("no")

    with pytest.raises(EngineError, match="no"):
        cache.get("teeth", KEY, SOURCE, build, record_of(KEY))
    assert [path.name for path in cache.folder.iterdir() if not path.name.endswith(".lock")] == []


def test_where_the_cache_cannot_be_written_the_plan_serves_once(tmp_path, caplog):
    (tmp_path / "file").touch()
    found, builds = take(EngineCache(tmp_path / "file" / "cache"))
    assert (found.data, builds) == (b"a plan", 1)
    assert "will be built again next time: cannot write" in found.note
    assert found.note in caplog.text


def test_a_disk_that_fills_up_leaves_nothing_half_written(cache, caplog):
    cache.folder.mkdir(parents=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # a write beyond this fails as on a full disk
    try:
        found, _ = take(cache, plan=b"p" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert found.data == b"p" * 200_000
    assert "the plan is new and will be built again next time: cannot write" in found.note
    assert [path.name for path in cache.folder.iterdir() if not path.name.endswith(".lock")] == []


def test_the_folder_is_nobody_elses_business(cache):
    take(cache)
    assert cache.folder.stat().st_mode & 0o077 == 0


def test_what_lies_beside_a_plan_can_be_read_by_people(cache):
    take(cache)
    path = cache.path("teeth", KEY)
    assert path.name.startswith("teeth-")
    raw = json.loads(record_path(path).read_text())
    assert raw["key"]["gpu"] == "NVIDIA H200"
    assert raw["spec"]["class_names"] == ["dark", "red", "green", "blue"]


def _want(folder: Path, start, answers) -> None:
    built = []

    def build() -> bytes:
        built.append(1)
        time.sleep(0.3)
        return b"built once"

    start.wait()
    found = EngineCache(folder).get("teeth", KEY, SOURCE, build, record_of(KEY))
    answers.put((found.data, len(built)))


def test_two_processes_at_once_build_one_plan(cache):
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_want, args=(cache.folder, start, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)
    assert sorted(found) == [(b"built once", 0), (b"built once", 1)]


def _die(folder: Path) -> None:
    def build() -> bytes:
        os._exit(3)  # in the middle of a build, lock held

    EngineCache(folder).get("teeth", KEY, SOURCE, build, record_of(KEY))


def test_a_process_that_dies_while_it_builds_holds_nobody_up(cache):
    process = multiprocessing.get_context("spawn").Process(target=_die, args=(cache.folder,))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == 3
    assert take(cache)[1] == 1


def test_who_waits_is_told(cache, caplog):
    caplog.set_level(logging.WARNING)
    other = EngineCache(cache.folder)
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(2), context.Queue()
    process = context.Process(target=_want, args=(cache.folder, start, answers))
    process.start()
    start.wait(timeout=60)
    lock = cache.folder / ".tensorrt-9.0.lock"
    while not lock.exists():
        time.sleep(0.01)
    time.sleep(0.1)
    found, builds = take(other)
    process.join(timeout=60)
    assert (found.data, builds) == (b"built once", 0)
    assert found.note == "plan from cache, built by another process just now"
    assert "another process is building" in caplog.text
