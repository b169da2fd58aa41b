# An extension that ends takes the function down. Where boot.py cannot be imported, this much still asks for events over
# the start script's connection, until SHUTDOWN. For any Python: annotations are what may have failed.
import posix as os
import time


def wait(started, fault):  # type: ignore[no-untyped-def]
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
