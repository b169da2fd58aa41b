"""Returns its event, or fails as the event asks for."""

import sys
import time


def handler(event, context):
    if isinstance(event, dict) and "busy_ms" in event:
        until = time.monotonic() + event["busy_ms"] / 1000
        while time.monotonic() < until:
            pass
    if event == "raise":
        raise ValueError("no luck")
    if event == "exit":
        sys.exit(3)
    if event == "hang":
        while True:
            pass
    return event
