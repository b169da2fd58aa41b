"""The zip for `aws lambda publish-layer-version`."""

import stat
import zipfile
from pathlib import Path

import pytest

from coldspan_layer import archive, sizes
from coldspan_layer.builder import BuildError, BuildReport, build, current_python


def test_two_builds_in_different_places_are_equal_byte_for_byte(zip_report: BuildReport, tmp_path: Path) -> None:
    elsewhere = tmp_path / "a much longer name" / "another.zip"
    build(elsewhere, python=current_python(), arch="x86_64")
    assert elsewhere.read_bytes() == zip_report.output.read_bytes()


def test_zip_holds_the_same_files_as_the_tree(zip_report: BuildReport, tree: Path) -> None:
    with zipfile.ZipFile(zip_report.output) as zipped:
        contents = {name: zipped.read(name) for name in zipped.namelist() if name.endswith(".py") or "/" not in name}
    files = [path for path in archive.files(tree) if path.suffix == ".py" or path.parent == tree]
    assert contents == {path.relative_to(tree).as_posix(): path.read_bytes() for path in files}


def test_zip_keeps_modes_whatever_system_unpacks_it(zip_report: BuildReport) -> None:
    with zipfile.ZipFile(zip_report.output) as zipped:
        entries = zipped.infolist()
    assert {entry.create_system for entry in entries} == {3}
    modes = {entry.filename: entry.external_attr >> 16 for entry in entries}
    assert modes["extensions/coldspan"] == modes["coldspan-exec"] == stat.S_IFREG | 0o755
    assert modes["coldspan/python"] == stat.S_IFREG | 0o644


def test_zip_carries_no_trace_of_when_it_was_built(zip_report: BuildReport) -> None:
    with zipfile.ZipFile(zip_report.output) as zipped:
        entries = zipped.infolist()
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)


def test_report_weighs_every_part_zipped_and_unzipped(zip_report: BuildReport) -> None:
    with zipfile.ZipFile(zip_report.output) as zipped:
        entries = zipped.infolist()
    assert zip_report.unzipped_bytes == sum(entry.file_size for entry in entries)
    assert zip_report.zipped_bytes == sum(entry.compress_size for entry in entries)
    names = [line.split()[0] for line in zip_report.lines()]
    assert names == ["wrapper", "extension", "dependencies", "certificates", "entry", "total"]


MB = 1_000_000


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
def test_a_layer_stays_small(zip_report: BuildReport, tmp_path: Path, arch: str) -> None:
    whole = zip_report
    if arch != "x86_64":
        whole = build(tmp_path / "layer.zip", python=current_python(), arch=arch)
    lean = build(tmp_path / "lean.zip", python=current_python(), arch=arch, lean_only=True)
    for report, zipped_mb, unzipped_mb in ((whole, 4, 12), (lean, 0.5, 2)):
        assert report.output.stat().st_size <= zipped_mb * MB, report.lines()
        assert report.unzipped_bytes <= unzipped_mb * MB, report.lines()


def test_layer_that_lambda_would_refuse_is_an_error(tmp_path: Path) -> None:
    with (tmp_path / "huge.so").open("wb") as sparse:
        sparse.truncate(sizes.UNZIPPED_LIMIT_BYTES)
    assert sum(part.unzipped_bytes for part in sizes.of_tree(tmp_path)) == 262_144_000
    (tmp_path / "one more byte").write_bytes(b"x")
    with pytest.raises(BuildError, match="262,144,001 bytes unzipped; Lambda takes at most 262,144,000"):
        sizes.of_tree(tmp_path)
