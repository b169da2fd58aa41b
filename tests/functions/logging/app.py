"""Logs in every way that a function may, at load too."""

import logging
import sys

log = logging.getLogger("named")
logging.basicConfig(level=logging.DEBUG)  # does nothing: the root logger has its handler
logging.warning("while loading")


class Odd:
    def __repr__(self):
        return "an odd one"


def handler(event, context):
    logging.debug("a debug line")
    logging.info("an info line")
    log.warning("two\nlines é %s", 1)
    log.error({"a": 1, "b": Odd()})
    log.critical("with extra", extra={"order": 7, "odd": Odd(), "é": "é"})
    log.log(5, "below debug")
    log.log(35, "between levels")
    log.log(70, "above all")
    log.warning("arguments %(a)s", {"a": 1})
    try:
        raise LookupError("logged error")
    except LookupError:
        log.exception("with a stack")
    print("printed")
    print("unfinished", end="")
    sys.stdout.writelines(["one\n", "two\n"])
    print("on stderr", file=sys.stderr)
    with sys.stdout as out:
        out.write("with\n")
    if event == "raise":
        raise ValueError("no luck\nat all")
    return [logging.getLogger().level, logging.getLogger().getEffectiveLevel()]
