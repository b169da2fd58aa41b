"""The builds that several tests look at: each takes seconds, so each is made once."""

from pathlib import Path

import pytest

from coldspan_layer.builder import BuildReport, build, current_python
from coldspan_testing import interpreters, trees


@pytest.fixture(scope="session")
def tree() -> Path:
    """The layer for the running Python."""
    return trees.layer_tree()


@pytest.fixture(scope="session")
def lean_tree() -> Path:
    """The same without the dependencies."""
    return trees.layer_tree(lean_only=True)


@pytest.fixture(scope="session")
def zip_report(tmp_path_factory: pytest.TempPathFactory) -> BuildReport:
    """A zip for the running Python, as built."""
    return build(tmp_path_factory.mktemp("zip") / "layer.zip", python=current_python(), arch="x86_64")


@pytest.fixture(scope="session")
def arm64_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layer for arm64 and for another Python than the running one, with gRPC."""
    python = next(version for version in reversed(interpreters.VERSIONS) if version != current_python())
    interpreters.executable(python)
    output = tmp_path_factory.mktemp("arm64") / f"layer-{python}"
    build(output, python=python, arch="arm64", with_grpc=True)
    return output
