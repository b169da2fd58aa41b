"""Streams its response in every way that there is; the event says how many chunks, or what goes wrong."""

import asyncio
import contextvars
import csv
import functools
import io
import json
import os
import resource
import sys
import time
import zipfile

WHERE = contextvars.ContextVar("WHERE", default="nowhere")


def generator(event, context):
    for number in range(event):
        yield f"chunk {number} é\n"


def mixed(event, context):
    yield b"bytes "
    yield ""  # nothing
    yield bytearray(b"array ")
    yield memoryview(b"view ")
    yield "text"


def http(event, context):
    yield {"statusCode": 201, "headers": {"content-type": "text/plain"}, "cookies": ["a=b", "c=d"]}
    yield "body"


def fails(event, context):
    """At once, or after so many chunks."""
    for number in range(event["after"]):
        yield f"{number}"
    if event.get("exit"):
        sys.exit(3)
    raise ValueError("no luck: é")


def yields(event, context):
    yield "first"
    yield {"list": [], "number": 1, "late": {"statusCode": 200}}.get(event)


def yields_first(event, context):
    yield {"no status": {"a": 1}, "body": {"statusCode": 200, "body": "x"}}.get(event)


async def asynchronous(event, context):
    WHERE.set("in the generator")
    try:
        for number in range(event):
            await asyncio.sleep(0)
            yield f"{number} {WHERE.get()};"
    finally:
        print("closed")


async def fails_asynchronously(event, context):
    yield "one"
    raise LookupError("late")


async def coroutine(event, context):
    await asyncio.sleep(0)
    if event == "raise":
        raise ValueError("no luck")
    return {"event": event, "loop": id(asyncio.get_running_loop())}


async def coroutine_of_generator(event, context):
    return generator(event, context)


def decorated(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


@decorated
def takes(event, context, response_stream):
    """Uses it as any file."""
    response_stream.content_type = "application/x-ndjson"
    with response_stream as out:
        for number in range(event):
            json.dump({"number": number}, out)
            print(file=out)
    assert out.closed
    return "ignored"


async def takes_asynchronously(event, context, *, response_stream):
    response_stream.start_http(404, {"x": "y"}, cookies=["a=b"])
    response_stream.write("not here")


def writes_as_a_file(event, context, response_stream):
    with zipfile.ZipFile(response_stream, "w") as archive:
        archive.writestr("a.txt", "zipped")
    with io.TextIOWrapper(response_stream, write_through=True) as text:
        csv.writer(text).writerow(["a", 1])


def takes_until_it_breaks(event, context, response_stream):
    try:
        while True:
            response_stream.write(b"x" * 65536)
    except BrokenPipeError as error:
        print(f"{error}; closed: {response_stream.closed}")
        raise


def takes_and_returns(event, context, response_stream=None):
    return {"returned": event}


def takes_and_leaves(event, context, response_stream):
    pass


def takes_and_fails(event, context, response_stream):
    if event == "late":
        response_stream.write("one")
    if event == "closed":
        response_stream.close()
    raise ValueError("no luck")


class Callable:
    def __call__(self, event, context, response_stream):
        response_stream.writelines(["an ", "object"])


an_object = Callable()


def iterator(event, context):
    return map(str, range(event))


def large(event, context):
    """So many megabytes, of which it keeps none; the last line tells the most memory used meanwhile, in kB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    block = bytes(1_048_576)
    for _ in range(event):
        yield block
    yield str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def endless(event, context):
    try:
        while True:
            yield b"x" * 65536
    finally:
        print("closed")


def hand_in_hand(event, context):
    """Makes the next chunk when the caller has said, by a file, that it has the one before."""
    for number in range(event["chunks"]):
        yield f"{number}"
        while not os.path.exists(f"{event['folder']}/{number}"):
            time.sleep(0.001)


def http_hand_in_hand(event, context):
    """The same behind a function URL, which has what to do in its body."""
    yield {"statusCode": 201, "headers": {"content-type": "text/plain"}, "cookies": ["a=b"]}
    yield from hand_in_hand(json.loads(event["body"]), context)


def stamped(event, context):
    for _ in range(event):
        time.sleep(0.01)
        yield f"{time.monotonic_ns()}"
