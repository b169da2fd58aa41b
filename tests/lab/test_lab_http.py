"""The lab's HTTP server and client, with bytes on real sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import pytest

from coldspan_lab.http import BodyTooLarge, BodyTruncated, Client, Request, Response, Server

CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX: 1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def read_body(request: Request) -> Response:
    try:
        body = await request.body(10)
    except BodyTooLarge:
        return Response(413)
    except BodyTruncated:
        return Response(400, b"truncated")
    return Response(200, b"%b %b" % (request.path.encode(), body), (("X", request.headers.get("x", "")),))


async def ignore_body(request: Request) -> Response:
    return Response(200, b"ok")


def served(handler: Callable[[Request], Awaitable[Response]], request: bytes) -> bytes:
    """Everything the server says to these bytes, after which our side is closed."""

    async def scenario() -> bytes:
        server = Server(handler)
        await server.start()
        host, port = server.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        writer.write_eof()
        reply = await reader.read()
        writer.close()
        await server.close()
        return reply

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("request_bytes", "reply"),
    [
        (
            b"POST /a%20b?c HTTP/1.1\r\nHost: h\r\nX: 1\r\nContent-Length: 3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 8\r\n\r\n/a b abc",
        ),
        (
            CHUNKED,
            b"HTTP/1.1 200 OK\r\nX: \r\nContent-Length: 5\r\n\r\n/ abc",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n0123456789a",
            f"HTTP/1.1 413 {HTTPStatus(413).phrase}\r\nContent-Length: 0\r\n\r\n".encode(),
        ),
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc",
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\ntruncated",
        ),
        (b"nonsense\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\na",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: \r\nContent-Length: 3\r\n\r\n/ a",
        ),
    ],
)
def test_a_request_gets_the_reply_that_its_body_deserves(request_bytes: bytes, reply: bytes) -> None:
    assert served(read_body, request_bytes) == reply


def test_a_connection_serves_further_requests_even_after_a_body_that_nobody_read() -> None:
    one = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
    assert served(ignore_body, one + one) == OK + OK


def test_a_reply_is_announced_when_its_bytes_are_written() -> None:
    order = []

    async def handler(request: Request) -> Response:
        order.append("handled")
        return Response(200, written=lambda: order.append("written"))

    served(handler, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert order == ["handled", "written"]


def test_the_client_keeps_its_connection_and_makes_a_new_one_when_that_was_closed() -> None:
    async def scenario() -> tuple[list[int], int]:
        connections = 0
        replies = [OK, OK, OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), OK]

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            while await reader.readuntil(b"body"):
                reply = replies.pop(0)
                writer.write(reply)
                if b"close" in reply or not replies:
                    break
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            client = Client(server.sockets[0].getsockname()[1])
            statuses = [await client.post("/", (("Host", "h"),), b"body") for _ in range(4)]
            client.close()
            return statuses, connections

    assert asyncio.run(scenario()) == ([200] * 4, 2)


def test_the_client_says_that_nobody_listens() -> None:
    async def scenario() -> None:
        server = Server(ignore_body)
        await server.start()
        await server.close()
        client = Client(int(server.address.rpartition(":")[2]))
        with pytest.raises(ConnectionError):
            await client.post("/", (("Host", "h"),), b"")

    asyncio.run(scenario())
