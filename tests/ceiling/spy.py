# Takes the place of the extension's start.py in a copy of the layer: says on stderr, when the extension sends a request
# that somebody waits for, which modules there are beyond the interpreter's own. Then runs what it took the place of.
import sys

_own = set(sys.modules)

import _socket  # noqa: E402
import posix  # noqa: E402

_MOMENTS = {b"/extension/register": "register", b"/event/next": "next"}
_write = posix.write


def _look(data):
    head = bytes(data[:4096])
    for request, moment in _MOMENTS.items():
        if request in head:
            _write(2, f"modules at {moment}: {' '.join(sorted(set(sys.modules) - _own))}\n".encode())


def _watched(call):
    def sending(first, data, *rest):
        _look(data)
        return call(first, data, *rest)

    return sending


class _Socket(_socket.socket):
    send = _watched(_socket.socket.send)
    sendall = _watched(_socket.socket.sendall)


_socket.socket = _Socket
posix.write = _watched(_write)  # os takes its functions from there
with open(f"{__file__}.original", "rb") as _file:
    exec(compile(_file.read(), __file__, "exec"))
