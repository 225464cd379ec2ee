"""A stand-in for the two routes of Twilio's REST API that start and stop a stream, with its checks and error shapes."""

import base64
from dataclasses import dataclass, field

from aiohttp import web

ACCOUNT, TOKEN = "AC" + "a" * 32, "t" * 32
LIVE, ENDED, CROWDED, BUSY = ("CA" + letter * 32 for letter in "1234")


@dataclass
class TwilioRest:
    """Knows a call in progress, one that has ended, one without a free track, and one that is asked for too often."""

    started: list[dict[str, str]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    answer: tuple[int, bytes] | None = None
    """Instead of any other, whatever is asked: status and body."""

    def app(self) -> web.Application:
        """The application to serve."""
        app = web.Application()
        base = "/2010-04-01/Accounts/{account}/Calls/{call}/Streams"
        app.router.add_post(base + ".json", self._create)
        app.router.add_post(base + "/{stream}.json", self._update)
        return app

    async def _create(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        form = {name: str(value) for name, value in (await request.post()).items()}
        assert form["Url"].startswith("wss://")
        self.started.append(form)
        return self._stream(request, "MZ" + "9" * 32, form.get("Name"), "in-progress", 201)

    async def _update(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        assert dict(await request.post()) == {"Status": "stopped"}
        if request.match_info["stream"] not in ("transcriber", "MZ" + "9" * 32):
            return self._error(404, 20404, "The requested resource was not found")
        self.stopped.append(request.match_info["stream"])
        return self._stream(request, "MZ" + "9" * 32, "transcriber", "stopped", 200)

    def _refused(self, request: web.Request) -> web.Response | None:
        if self.answer is not None:
            status, body = self.answer
            return web.Response(status=status, body=body, content_type="application/json")
        expected = "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if request.headers.get("Authorization") != expected:
            return self._error(401, 20003, "Authenticate")
        match request.match_info["call"]:
            case call if call == LIVE:
                return None
            case call if call == ENDED:
                return self._error(400, 21220, "Call is not in-progress. Cannot redirect.")
            case call if call == CROWDED:
                return self._error(400, 31903, "Too many streams")
            case call if call == BUSY:
                return self._error(429, 20429, "Too Many Requests")
        return self._error(404, 20404, "The requested resource was not found")

    def _error(self, status: int, code: int, message: str) -> web.Response:
        return web.json_response({"code": code, "message": message, "more_info": "", "status": status}, status=status)

    def _stream(self, request: web.Request, sid: str, name: str | None, state: str, status: int) -> web.Response:
        stream = {
            "sid": sid,
            "account_sid": request.match_info["account"],
            "call_sid": request.match_info["call"],
            "name": name,
            "status": state,
            "date_updated": "Mon, 23 Nov 2026 05:20:00 +0000",
            "uri": request.path,
        }
        return web.json_response(stream, status=status)
