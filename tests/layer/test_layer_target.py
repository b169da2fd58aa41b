"""Which wheels run on Lambda, by Python version and architecture."""

from coldspan_layer.target import parse


def test_wheels_need_no_newer_glibc_than_amazon_linux_2_where_python_runs_on_it() -> None:
    assert parse("3.11", "x86_64").platforms[0] == "manylinux_2_26_x86_64"


def test_wheels_may_need_the_glibc_of_amazon_linux_2023_from_python_3_12_on() -> None:
    assert parse("3.12", "x86_64").platforms[0] == "manylinux_2_34_x86_64"


def test_older_wheels_run_too_and_are_named_one_by_one() -> None:
    assert parse("3.10", "arm64").platforms == [
        "manylinux_2_26_aarch64",
        "manylinux_2_25_aarch64",
        "manylinux_2_24_aarch64",
        "manylinux_2_23_aarch64",
        "manylinux_2_22_aarch64",
        "manylinux_2_21_aarch64",
        "manylinux_2_20_aarch64",
        "manylinux_2_19_aarch64",
        "manylinux_2_18_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
    ]
