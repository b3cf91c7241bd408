"""What an HTTP listener answers, as Prometheus, a load balancer and a person see it."""
import http.client
import re

from clients import free_port
from daemons import Ekeyd, Softkey
from harness import check, check_equal


class Http:
    """A daemon's HTTP listener."""

    def __init__(self, port):
        self.port = port
        self.setting = f"listen = http:127.0.0.1:{port}"

    def ask(self, path, method="GET"):
        """Status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def metrics(self):
        """Every sample: "name{labels}" and its value."""
        status, headers, body = self.ask("/metrics")
        check_equal(status, 200, "the status of /metrics")
        check_equal(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8", "its type")
        lines = [line.rpartition(" ") for line in body.splitlines() if not line.startswith("#")]
        samples = {name: float(value) for name, _, value in lines}
        check_equal(len(samples), len(lines), "the number of samples, each with labels of its own")
        return samples

    def value(self, pattern):
        """The one sample whose name and labels match."""
        found = [value for name, value in self.metrics().items() if re.search(pattern, name)]
        check(len(found) == 1, f"{len(found)} samples match {pattern}")
        return found[0]


def start(run, *settings, softkeys=None, **options):
    http_listener = Http(free_port())
    keys = [Softkey(run)] if softkeys is None else softkeys
    return http_listener, Ekeyd(run, http_listener.setting, *settings, softkeys=keys, **options), keys
