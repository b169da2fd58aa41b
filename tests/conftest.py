"""What hypothesis does in all tests: the same at every run, however busy the machine is.

To have it look for more: `make test ARGS="--hypothesis-profile=search -k test_encoding"`.
"""

from hypothesis import HealthCheck, settings

REPEATABLE = settings(database=None, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", REPEATABLE)
settings.register_profile("search", REPEATABLE, derandomize=False, max_examples=5_000)
settings.load_profile("repeatable")
