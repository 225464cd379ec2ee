"""Takes what `transcriber webhook http://127.0.0.1:8090/` sends: `WEBHOOK_SECRET=whsec_… python receive_webhook.py`.

Checks the signature, answers 204 only when the event is safe (here: printed), and knows repeats by their id.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

TOLERANCE_S = 300
MAX_BYTES = 1 << 20
KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
SEEN: dict[str, None] = {}  # a table with a unique key in a real receiver; here the last 10,000
LOCK = Lock()


def is_genuine(headers: dict[str, str], body: bytes) -> bool:
    """Whether one of the signatures was made with our secret, and lately."""
    identifier, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not at.isdecimal() or abs(time.time() - int(at)) > TOLERANCE_S:
        return False
    expected = base64.b64encode(hmac.digest(KEY, f"{identifier}.{at}.".encode() + body, hashlib.sha256)).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(f"v1,{expected}".encode(), one.encode()) for one in given)


class Receiver(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BYTES:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if not is_genuine(headers, body):
            return self.answer(401)
        with LOCK:
            if headers["webhook-id"] not in SEEN:
                event = json.loads(body)
                said = f"{event['speaker']}: {event['text']}" if event["type"] == "final" else event["type"]
                print(f"{event['call_sid']} {event['seq']}  {said}", flush=True)
                SEEN[headers["webhook-id"]] = None
                if len(SEEN) > 10_000:
                    del SEEN[next(iter(SEEN))]
        return self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: what arrived is printed."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8090), Receiver)
    print(f"receiving on http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
