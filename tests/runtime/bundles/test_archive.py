"""What a damaged or hostile bundle becomes: one line, before anything of it is used."""

import struct
import warnings
import zipfile

import pytest
from tests.bundles import edited, repacked, small_bundle

from segrt import ModelError
from segrt.runtime.bundles.bundle import open_bundle

FP32 = "graphs/fp32.onnx"


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return small_bundle(tmp_path / "small.segrt")


def opened(path):
    found = open_bundle(path)
    found.golden()
    found.card()
    found.graph("fp32")


def flipped(files, name):
    files[name] = bytes([files[name][0] ^ 1]) + files[name][1:]


def listed(files, name, **changes):
    edited(files, "manifest.json", lambda m: m["entries"][name].update(changes))


def without(files, table, key):
    edited(files, "manifest.json", lambda m: m[table].pop(key))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: flipped(f, FP32), r"graphs/fp32.onnx has another SHA-256 than its manifest.json says"),
        (lambda f: flipped(f, "golden/001.mask.png"), "golden/001.mask.png has another SHA-256"),
        (lambda f: flipped(f, "report.json"), "report.json has another SHA-256"),
        (lambda f: flipped(f, "card.md"), "card.md has another SHA-256"),
        (lambda f: f.update({FP32: f[FP32] + b"x"}), r"fp32.onnx has \d+ bytes, its manifest.json says \d+"),
        (lambda f: f.pop(FP32), r"lacks 'graphs/fp32.onnx', which its manifest.json lists: it is not whole"),
        (lambda f: f.pop("golden/000.mask.png"), r"lacks 'golden/000.mask.png'"),
        (lambda f: f.pop("manifest.json"), "is no bundle: it lacks manifest.json"),
        (lambda f: f.update({"more.txt": b"x"}), r"holds 'more.txt', which its manifest.json does not list"),
        (lambda f: without(f, "entries", "card.md"), r"has no hash of 'card.md'"),
        (lambda f: without(f, "graphs", "fp32"), "must list golden frames and graphs, fp32 and"),
        (lambda f: edited(f, "manifest.json", lambda m: m.update(golden=[])), "found 0 frames and fp32"),
        (lambda f: edited(f, "manifest.json", lambda m: m.update(schema=2)), "schema 2, this segrt reads 1: update"),
        (lambda f: edited(f, "manifest.json", lambda m: m.pop("golden")), "cannot be used .KeyError"),
        (lambda f: edited(f, "manifest.json", lambda m: m.update(entries=[])), "cannot be used .AttributeError"),
        (lambda f: f.update({"manifest.json": b"[" * 9000}), "manifest.json cannot be used"),
        (lambda f: f.update({"manifest.json": b"\xff"}), "manifest.json cannot be used"),
        (lambda f: listed(f, FP32, sha256="../" * 21 + "x"), "where a SHA-256 is expected"),
        (lambda f: listed(f, FP32, sha256="/" + "0" * 63), "where a SHA-256 is expected"),
    ],
)
def test_a_bundle_that_is_not_what_its_manifest_says_is_refused(bundle, tmp_path, change, message):
    repacked(bundle, change)
    with pytest.raises(ModelError, match=message) as failure:
        opened(bundle)
    assert "\n" not in str(failure.value)
    assert not list(tmp_path.glob("cache/**/*.onnx*")), "nothing that was refused stays"


@pytest.mark.parametrize("name", ["../evil.onnx", "/etc/evil", "graphs/../../evil", "C:\\evil", "a//b", "./a", "dir/"])
def test_a_name_that_leads_elsewhere_is_refused(bundle, tmp_path, name):
    repacked(bundle, lambda files: files.update({name: b"evil"}), honest=True)
    with pytest.raises(ModelError, match="has a name that leads elsewhere"):
        opened(bundle)
    assert not list(tmp_path.glob("**/*evil*"))


def test_a_zip_bomb_is_refused_without_being_blown_up(bundle):
    def swollen(files):
        files[FP32] = bytes(32 << 20)

    repacked(bundle, swollen, honest=True, compress_type=zipfile.ZIP_DEFLATED)
    assert bundle.stat().st_size < 1 << 20
    with pytest.raises(ModelError, match="is compressed, which entries of bundles never are"):
        opened(bundle)


def test_entries_that_overlap_are_refused(bundle):
    """A bomb of stored entries: many names for the same bytes of the file."""
    data = bytearray(bundle.read_bytes())
    with zipfile.ZipFile(bundle) as archive:
        graph = archive.getinfo(FP32)
        others = [info for info in archive.infolist() if info.filename != FP32]
    for info in others:  # sizes in the central directory: each entry now claims the whole file
        at = data.rindex(info.filename.encode()) - 46
        assert data[at : at + 4] == b"PK\x01\x02"
        struct.pack_into("<II", data, at + 20, len(data) // 2, len(data) // 2)
    bundle.write_bytes(data)
    assert graph.file_size < len(data)
    with pytest.raises(ModelError, match="claims to hold more bytes than it has"):
        opened(bundle)


def test_a_name_that_is_there_twice_is_refused(bundle):
    with zipfile.ZipFile(bundle, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, of the very thing
        archive.writestr("card.md", b"# another card\n")
    with pytest.raises(ModelError, match=r"'card.md' is there twice"):
        opened(bundle)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: b"", "is no bundle, or is cut short"),
        (lambda data: data[: len(data) // 2], "is no bundle, or is cut short"),
        (lambda data: b"not a zip\n" * 50, "is no bundle, or is cut short"),
        (lambda data: data.replace(b"PK\x01\x02", b"PK\x01\x03", 1), "is no bundle, or is cut short"),
        (lambda data: data.replace(b"PK\x03\x04", b"PK\x03\x05", 1), "manifest.json is damaged"),
    ],
)
def test_a_file_that_is_no_zip_is_refused(bundle, spoil, message):
    bundle.write_bytes(spoil(bundle.read_bytes()))
    with pytest.raises(ModelError, match=message):
        opened(bundle)


def test_a_golden_frame_that_claims_to_be_huge_is_not_decoded(bundle):
    def huge(files):
        png = bytearray(files["golden/000.frame.png"])
        struct.pack_into(">II", png, 16, 100_000, 100_000)
        files["golden/000.frame.png"] = bytes(png)

    repacked(bundle, huge, honest=True)
    with pytest.raises(ModelError, match=r"golden/000.frame.png is no PNG of up to 64 megapixels"):
        opened(bundle)


def test_a_mask_of_another_size_than_its_frame_is_refused(bundle):
    def swapped(files):
        files["golden/000.mask.png"] = files["golden/001.mask.png"]

    repacked(bundle, swapped, honest=True)
    with pytest.raises(ModelError, match="'stripes 0' and its masks differ in size"):
        opened(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("limits"), "its report.json cannot be used"),
        (lambda r: r["rows"][0].update(agreement="all"), "'all' as 'agreement', expected float"),
        (lambda r: r.update(rows={}), "no object with a list of rows"),
        (lambda r: r.update(notes=[1]), "notes must be a list of texts"),
    ],
)
def test_a_report_that_is_none_is_refused(bundle, change, message):
    repacked(bundle, lambda files: edited(files, "report.json", change), honest=True)
    with pytest.raises(ModelError, match=message):
        opened(bundle)


def test_a_bundle_that_is_only_packed_anew_is_as_good_as_before(bundle):
    before = open_bundle(bundle)
    after = open_bundle(repacked(bundle, lambda files: None))
    assert (after.sha256, after.report, after.spec) == (before.sha256, before.report, before.spec)
    opened(bundle)
