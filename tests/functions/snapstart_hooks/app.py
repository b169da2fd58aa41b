"""Hooks around a snapshot; the environment's WHERE tells which of them fails, and how."""

import os
import sys

from snapshot_restore_py import register_after_restore, register_before_snapshot

WHERE = os.environ.get("WHERE")


def hook(name, error=None):
    print("hook", name)
    if name == WHERE:
        if error == "exit":
            sys.exit(3)
        raise ValueError(f"no luck in {name}")


register_before_snapshot(hook, "before 1")
register_before_snapshot(hook, "before 2", error="exit")
register_after_restore(hook, "after 1")
register_after_restore(hook, "after 2", error="exit")


def handler(event, context):
    return "restored"
