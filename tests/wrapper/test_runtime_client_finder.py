"""The wrapper waits for the runtime client in sys.meta_path, among whatever finders are there."""

import sys

import pytest

from coldspan_wrapper import awslambdaric
from coldspan_wrapper.recorder import Recorder


def test_a_finder_of_an_older_kind_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until Python 3.11, importlib takes finders that have no find_spec."""
    monkeypatch.setattr(sys, "meta_path", [object()])
    awslambdaric.observe(Recorder(None))
    assert sys.meta_path[0].find_spec(awslambdaric.BOOTSTRAP, None) is None
