"""Listening sockets that answer what they are told to, and stores that ask them."""

import contextlib
import socket
import threading

from dhis2kv import Store


class Listener:
    """A socket that records what arrives, and answers each request with the next of some given answers.

    An answer is bytes; None, which closes the connection; or a function that is given the connection, which is closed
    after it.
    """

    def __init__(self, *answers):
        self._answers = list(answers)
        self.received = []
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._open = self._socket
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self):
        while self._answers:
            with contextlib.suppress(OSError):
                self._open, _ = self._socket.accept()
                self.connections += 1
                with self._open as connection:
                    while self._answers and self._request(connection):
                        answer = self._answers.pop(0)
                        if answer is None:
                            break
                        if callable(answer):
                            answer(connection)
                            break
                        connection.sendall(answer)

    def _request(self, connection):
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = connection.recv(65536)
            if not chunk:
                return False
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        while len(body) < int(headers.get("Content-Length", 0)):
            body += connection.recv(65536)
        self.received.append((lines[0], headers, body))
        return True

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._answers.clear()
        for each in (self._open, self._socket):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)


def reply(body=b"1", status="200 OK", *headers, kind="application/json"):
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def quick(url, auth=("admin", "district"), **options):
    """A store that does not wait between repeats; what it would have waited is in the list."""
    store = Store(url, auth, **options)
    waits = []
    store.datastore.transport.sleep = waits.append
    return store, waits


def done(status=200):
    """DHIS2's word that a write is done."""
    body = b'{"httpStatus":"OK","httpStatusCode":%d,"status":"OK","message":"done"}' % status
    return reply(body, f"{status} ")
