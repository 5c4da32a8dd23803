"""A stand-in for the dashboard of a Ray cluster: one job, which ends when asked to.

It speaks of Ray's job API what Ray's own client asks for, over HTTP.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

JOB = "raysubmit_a"


@dataclass
class Dashboard:
    """What it says.

    Attributes:
        log: Of the job.
        state: Of the job; STOPPED once it was asked to stop.
        failures: How many of the next questions about the stopped job are not answered.
        address: Where it listens.
    """

    log: str = ""
    state: str = "RUNNING"
    failures: int = 0
    address: str = field(init=False)

    def answer(self, path: str) -> dict[str, Any] | None:
        """The answer to a question; None for closing the connection."""
        if path == "/api/version":
            return {"ray_version": "2.60.0"}
        if path.endswith("/stop"):
            self.state = "STOPPED"
            return {"stopped": True}
        if self.state == "STOPPED" and self.failures > 0:
            self.failures -= 1
            return None
        if path.endswith("/logs"):
            return {"logs": self.log}
        return {"type": "SUBMISSION", "status": self.state, "entrypoint": "sh"}


@contextmanager
def serving(dashboard: Dashboard) -> Iterator[Dashboard]:
    """Have it listen on a port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = dashboard.answer(self.path)
            if found is None:
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        dashboard.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield dashboard
        server.shutdown()
        thread.join()
