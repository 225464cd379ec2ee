"""The API's description for people: the same document as `/openapi.json`, as a page without a script."""

import html
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from transcriber import __version__
from transcriber.events.json_schema import PUBLISHED
from transcriber.events.schema import event_type
from transcriber.web.api.openapi import PATHS
from transcriber.web.api.schemas import EVENTS

STYLE = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:52rem;margin:2rem auto;padding:0 1rem}
code{font-family:ui-monospace,monospace}h2{margin-top:2.5rem;font-size:1.1rem}h2 b{text-transform:uppercase}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;
border-top:1px solid color-mix(in srgb,currentColor 20%,transparent)}th{font-weight:600;white-space:nowrap}
"""


async def page(_request: web.Request) -> web.Response:
    """GET /docs: the same for people, without a script."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    return web.Response(
        text="".join(_page()), content_type="text/html", charset="utf-8", headers={"Content-Security-Policy": policy}
    )


def _page() -> Iterator[str]:
    yield '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    yield f"<title>Transcriber API</title><style>{STYLE}</style><h1>Transcriber API {__version__}</h1>"
    yield '<p>As files for programs: <a href="openapi.json">openapi.json</a>, and for Redis channels and Server-Sent '
    yield 'Events <a href="asyncapi.json">asyncapi.json</a>. Errors are '
    yield '<code>{"error":{"code":…,"message":…}}</code>.</p>'
    for path, operations in PATHS.items():
        for method, operation in operations.items():
            yield f"<h2><b>{method}</b> <code>{html.escape(path)}</code></h2><p>{html.escape(operation['summary'])}</p>"
            yield "<table>"
            yield from (_row(item["name"], _wording(item)) for item in operation["parameters"])
            yield from (_row(status, answer["description"]) for status, answer in operation["responses"].items())
            yield "</table>"
    yield from _events()


def _events() -> Iterator[str]:
    """What is published, by the schemas of the same document."""
    for kind in PUBLISHED:
        schema = EVENTS[kind.__name__]
        yield f"<h2><b>event</b> <code>{event_type(kind)}</code></h2><p>{html.escape(schema['description'])}</p><table>"
        yield from (_row(name, field["description"]) for name, field in schema["properties"].items())
        yield "</table>"


def _wording(parameter: Mapping[str, Any]) -> str:
    values = parameter["schema"].get("enum", ())
    return str(parameter["description"]) + (f" ({', '.join(values)})" if values else "")


def _row(name: str, doc: str) -> str:
    return f"<tr><th><code>{html.escape(name)}</code></th><td>{html.escape(doc)}</td></tr>"
