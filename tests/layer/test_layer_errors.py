"""What cannot be built is said in words that name the option, and nothing of the user's is lost."""

import re
from importlib import metadata
from pathlib import Path

import pytest

from coldspan_layer.builder import BuildError, build, current_python
from coldspan_layer.vendor import GRPC_REQUIREMENT, requirements


@pytest.mark.parametrize("python", ["2.7", "3.9", "3", "3.13.1", "python3.13", ""])
def test_python_that_lambda_has_no_runtime_for_is_refused(tmp_path: Path, python: str) -> None:
    with pytest.raises(BuildError, match=r"--python .*expected 3\.10 or a later one"):
        build(tmp_path / "layer.zip", python=python)


def test_unknown_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="--arch aarch64: expected one of x86_64, arm64"):
        build(tmp_path / "layer.zip", arch="aarch64")


def test_a_lean_only_layer_with_grpc_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="--lean-only and --with-grpc: expected one of them"):
        build(tmp_path / "layer.zip", lean_only=True, with_grpc=True)


def test_missing_interpreter_is_said_with_the_ways_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no python3\.99 on PATH or in .*\(pyenv install 3\.99, uv python"):
        build(tmp_path / "layer.zip", python="3.99")
    assert not list(tmp_path.iterdir())


def test_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(BuildError, match="holds something that is not a coldspan layer"):
        build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", ["layer.tar", "layer.tar.gz", "layer.ZIPX"])
def test_output_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildError, match=r"expected a name that ends in \.zip, or a folder's without a suffix"):
        build(tmp_path / name)


def test_file_in_place_of_a_folder_and_the_other_way_round_are_refused(tmp_path: Path) -> None:
    (tmp_path / "layer").touch()
    (tmp_path / "layer.zip").mkdir()
    with pytest.raises(BuildError, match="is a file; expected a folder"):
        build(tmp_path / "layer")
    with pytest.raises(BuildError, match="is a folder; expected a file"):
        build(tmp_path / "layer.zip")


def test_output_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuildError, match=r"--output: the layer cannot be written below .*file"):
        build(tmp_path / "file" / "layer.zip")


def test_failing_pip_is_quoted_and_an_older_layer_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = tmp_path / "layer.zip"
    older.write_bytes(b"the older one")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(BuildError, match=r"pip could not install .* for Python 3\.\d+ on x86_64:\nERROR: "):
        build(older, python=current_python())
    assert older.read_bytes() == b"the older one"
    assert list(tmp_path.iterdir()) == [older]


def test_layers_requirements_are_those_of_the_distribution() -> None:
    declared = [_words(needed) for needed in metadata.requires("coldspan") or () if "extra ==" not in needed]
    layers = [_words(requirement.replace("-proto-http", "")) for requirement in requirements(with_grpc=False)]
    assert sorted(layers) == sorted(declared)
    assert _words(GRPC_REQUIREMENT.replace("-proto-grpc", "")) in declared


def _words(requirement: str) -> list[str]:
    """Name and bounds, sorted: a distribution's metadata turns the bounds round."""
    return sorted(re.findall(r"[a-z-]+|[<>]=?[\d.]+", requirement))
