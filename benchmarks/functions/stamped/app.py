import time


def handler(event, context):
    """When each chunk was made, monotonic ns."""
    for _ in range(5):
        yield b"%d" % time.monotonic_ns()
        time.sleep(0.002)
