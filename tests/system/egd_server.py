"""An EGD server for tests: serves blocking reads, counts what it is asked, and misbehaves when told to."""
import os
import selectors
import socket
import threading

from harness import DEADLINE, Failure


class Client:
    def __init__(self, number):
        self.number = number
        self.requests = []    # n of each blocking read
        self.served = b""     # all that it was sent
        self.open = True


class EgdServer:
    """Listens on "unix:PATH" or "tcp:HOST:PORT" (port 0: any) from a thread of its own.

    `mode` may change at any time: "serve" answers, "silent" never does, "half" sends half of an answer and hangs up,
    "garbage" sends more than was asked for, "hang up" closes on a request.
    """

    def __init__(self, address, mode="serve", data=os.urandom):
        self.mode = mode
        self.data = data  # gives so many bytes
        self.clients = []
        self._changed = threading.Condition()
        kind, _, rest = address.partition(":")
        if kind == "unix":
            if os.path.exists(rest):
                os.unlink(rest)
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(rest)
            os.chmod(rest, 0o666)
            self.address = address
        else:
            host, _, port = rest.rpartition(":")
            self._listener = socket.create_server((host, int(port)))
            self.address = f"tcp:{host}:{self._listener.getsockname()[1]}"
        self._listener.listen(64)
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        """Ends it as a stopped server ends: every connection is closed."""
        self._stop.send(b"x")
        self._thread.join(DEADLINE)
        self._stop.close()

    def wait(self, condition, what, seconds=DEADLINE):
        """Waits until condition() holds; it is asked whenever something has happened here."""
        with self._changed:
            if not self._changed.wait_for(condition, seconds):
                counts = [client.requests for client in self.clients]
                raise Failure(f"waited {seconds:g} s in vain: {what}; requests by connection: {counts}")

    def wait_requests(self, count, seconds=DEADLINE):
        self.wait(lambda: self.requests() >= count, f"{count} requests", seconds)

    def requests(self):
        return sum(len(client.requests) for client in self.clients)

    def served(self):
        return b"".join(client.served for client in self.clients)

    def _run(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._stopped, selectors.EVENT_READ)
            connections = {}
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._stopped:
                        for connection in connections:
                            connection.close()
                        self._listener.close()
                        self._stopped.close()
                        return
                    if key.fileobj is self._listener:
                        connection, _ = self._listener.accept()
                        selector.register(connection, selectors.EVENT_READ)
                        with self._changed:
                            connections[connection] = Client(len(self.clients))
                            self.clients.append(connections[connection])
                            self._changed.notify_all()
                    elif not self._serve(key.fileobj, connections[key.fileobj]):
                        selector.unregister(key.fileobj)
                        with self._changed:
                            connections.pop(key.fileobj).open = False
                            self._changed.notify_all()
                        key.fileobj.close()

    def _serve(self, connection, client):
        """False when the connection is to be closed."""
        try:
            data = connection.recv(4096)
            if not data:
                return False
            keep = True
            while len(data) >= 2:
                command, count, data = data[0], data[1], data[2:]
                if command != 2:
                    return False
                keep = self._answer(connection, client, count) and keep
            return keep
        except OSError:
            return False

    def _answer(self, connection, client, count):
        size = {"serve": count, "silent": 0, "half": count // 2, "garbage": 2 * count, "hang up": 0}[self.mode]
        answer = self.data(size)
        with self._changed:
            client.requests.append(count)
            client.served += answer
            self._changed.notify_all()
        connection.sendall(answer)
        return self.mode not in ("half", "hang up")
