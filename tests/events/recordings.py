"""What the version before the events had a schema published and kept: `recorded/README.md` says of which calls."""

import json
import lzma
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "recorded"
NAMES = ("sample_calls", "scripted_calls", "chaos")


def calls(recording: str) -> list[dict[str, Any]]:
    """The calls of a recording, each as `scripted_calls.record` has it, with the `name` of what was played."""
    with lzma.open(FOLDER / f"{recording}.jsonl.xz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def texts() -> Iterator[str]:
    """Every event's JSON: partials as they were published, the others as they are kept."""
    for name in NAMES:
        for call in calls(name):
            yield from (text for channel, text in call["published"] if channel.endswith(":partial"))
            yield from (text for _, text in call["kept"])


def timeless(text: str, *, later_stream: bool = False) -> str:
    """An event's JSON without what differs from one time to the next; all else stays byte for byte.

    `later_stream`: where a second stream begins on the call's clock differs, too.
    """
    text = re.sub(r'("seq":)\d+', r"\g<1>0", text)
    text = re.sub(r'("at":)"[^"]*"', r'\1""', text)
    return re.sub(r'(_ms":)\d+', r"\g<1>0", text) if later_stream else text
