from dataclasses import replace

import pytest

from segrt.trainer.config import with_overrides
from segrt.trainer.data import open_folder
from segrt.trainer.mask_file import read_mask
from segrt.trainer.synthetic import write_variants


@pytest.fixture
def samples(discs):
    return open_folder(discs / "train", ("ground", "disc")).samples[:3]


def test_each_sample_gets_its_variants_which_differ_and_have_its_size(tiny, samples, tmp_path):
    careless = ["method.correct.variants=3", "noise.bias_px=40.0"]  # the discs are ten pixels wide
    found = write_variants(samples, with_overrides(tiny, careless), tmp_path)
    assert list(found) == [sample.name for sample in samples]
    for sample in samples:
        masks = [read_mask(path) for path in found[sample.name]]
        assert len(masks) == 3
        assert all(mask.shape == (40, 48) and set(mask.flat) <= {0, 1} for mask in masks)
    assert len({path.read_bytes() for path in found["0"]}) > 1


def test_a_variant_depends_on_seed_and_name_alone_and_is_not_made_twice(tiny, samples, tmp_path):
    first = write_variants(samples, tiny, tmp_path / "a")
    alone = write_variants(samples[1:2], tiny, tmp_path / "b")
    assert [p.read_bytes() for p in alone["1"]] == [p.read_bytes() for p in first["1"]]
    first["1"][0].write_bytes(b"kept")
    assert write_variants(samples, tiny, tmp_path / "a")["1"][0].read_bytes() == b"kept"
    other = write_variants(samples, replace(tiny, seed=2), tmp_path / "a")
    assert other["1"][0].parent != first["1"][0].parent


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ("method.correct.iterations=7", True),
        ("data.trusted_fraction=0.5", True),
        ("data.labels=['tooth=disc']", False),
        ("data.masks=others", False),
        ("noise.bias_px=2.0", False),
        ("method.correct.variants=4", False),
    ],
)
def test_runs_share_variants_exactly_when_nothing_they_depend_on_differs(tiny, samples, tmp_path, change, shared):
    first, other = (write_variants(samples[:1], config, tmp_path) for config in (tiny, with_overrides(tiny, [change])))
    assert (first["0"][0] == other["0"][0]) == shared
