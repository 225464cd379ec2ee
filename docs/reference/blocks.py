"""Which blocks there are, and how a page gets them."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from docs.reference import command_line, events, http_api, metrics, settings

PAGES = Path(__file__).parents[1] / "pages" / "reference"
BLOCKS: Mapping[str, Callable[[], str]] = {
    "settings": settings.table,
    "command-line": command_line.sections,
    "http-routes": http_api.routes,
    "http-operations": http_api.operations,
    "http-shapes": http_api.shapes,
    "http-error-codes": http_api.error_codes,
    "event-types": events.types_table,
    "event-fields": events.sections,
    "metrics-server": metrics.of_server,
    "metrics-webhook": metrics.of_webhook,
}
_BLOCK = re.compile(r"(?P<begin><!-- begin: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end: (?P=name) -->)", re.DOTALL)


def filled(page: str) -> str:
    """The page with every block made anew. KeyError: a block that nothing makes."""
    return _BLOCK.sub(lambda block: f"{block['begin']}\n{BLOCKS[block['name']]()}\n\n{block['end']}", page)
