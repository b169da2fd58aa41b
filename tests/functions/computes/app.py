"""Computes for 10 ms of CPU time."""

import time


def handler(event, context):
    until = time.process_time() + 0.01
    while time.process_time() < until:
        pass
