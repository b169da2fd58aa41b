# The extension's Python begins here, started by extensions/coldspan as `python -ISB start.py NAME=VALUE...`.
# Isolated and without site, the search path is the standard library's: our own folders are added to it.
import posix as os
import sys
import time

_tree = __file__.rpartition("/extension/")[0]
sys.path[:0] = [f"{_tree}/extension", f"{_tree}/wrapper"]
sys.path.append(f"{_tree}/vendor")


def _wait(started, fault):  # type: ignore[no-untyped-def] # for any Python: annotations are what may have failed
    """An extension that ends takes the function down. Where nothing of ours can be imported, this much still asks for
    events over the start script's connection, until SHUTDOWN."""
    reason = type(fault).__name__.encode()
    os.write(2, b'{"level":"error","event":"extension_idle","logger":"coldspan","reason":"%s"}\n' % reason)
    ask = "GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: runtime\r\nLambda-Extension-Identifier: %s\r\n\r\n"
    connection = int(started.get("descriptor") or -1)
    try:
        reply = b""
        while b"SHUTDOWN" not in reply:
            os.write(connection, (ask % started.get("identifier")).encode())
            reply = b""
            while not reply.rstrip().endswith(b"}"):
                piece = os.read(connection, 65536)
                if not piece:
                    raise OSError("the API closed the connection")
                reply += piece
    except OSError:
        while True:
            time.sleep(3600)


_started = dict(argument.split("=", 1) for argument in sys.argv[1:])
try:
    from coldspan_extension import boot
except Exception as _fault:
    _wait(_started, _fault)  # type: ignore[no-untyped-call]
else:
    boot.main(_started)
