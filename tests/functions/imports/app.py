"""Imports a package that takes its time, tries one that is not there, and does work of its own: so much CPU time."""

import time

import pack.slow

try:
    import not_installed
except ImportError:
    not_installed = None


def work(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


work(0.06)


def handler(event, context):
    import pack.lazy

    return pack.lazy.VALUE
