from collections.abc import Callable
from pathlib import Path

import pytest

from coldspan_lab.tree_cache import cache_folder, digest, once


def build(marker: str = "built") -> Callable[[Path], None]:
    def into(output: Path) -> None:
        output.mkdir()
        (output / "marker").write_text(marker)

    return into


def test_a_tree_is_built_once(tmp_path: Path) -> None:
    for marker in ("first", "second"):
        assert (once(tmp_path / "tree", build(marker)) / "marker").read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["tree"]


def test_of_two_builds_at_once_the_later_takes_the_earlier_ones_tree(tmp_path: Path) -> None:
    def overtaken(output: Path) -> None:
        once(tmp_path / "tree", build("earlier"))
        build("later")(output)

    assert (once(tmp_path / "tree", overtaken) / "marker").read_text() == "earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == ["tree"]


def test_a_build_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def failing(output: Path) -> None:
        build()(output)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        once(tmp_path / "cache" / "tree", failing)
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_key_tells_names_and_contents_apart_but_not_orders() -> None:
    files = [("a.py", b"1"), ("b.py", b"2")]
    assert digest(files) == digest(reversed(files))
    others = [[("a.py", b"1")], [("a.py", b"1"), ("b.py", b"3")], [("a.py", b"1"), ("c.py", b"2")], [("a.p", b"y1")]]
    assert len({digest(each) for each in (files, *others)}) == 5


def test_the_cache_is_where_the_xdg_specification_says() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/var/cache/me"}) == Path("/var/cache/me/coldspan")
    for unusable in ({}, {"XDG_CACHE_HOME": ""}, {"XDG_CACHE_HOME": "relative"}):
        assert cache_folder(unusable) == Path.home() / ".cache" / "coldspan"
