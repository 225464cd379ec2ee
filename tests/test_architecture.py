"""Imports point one way and in no circle, what is called pure is pure, libraries stay at home, files stay small."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "transcriber"
ROOMS = (
    "errors",
    "runtime",
    "observability",
    "settings",
    "audio",
    "events",
    "catalog",
    "telephony",
    "recognition",
    "events.factory",
    "catalog.compile",
    "store",
    "outbox",
    "webhooks",
    "calls",
    "web",
    "server",
    "benchmark",
    "cli",
    "__main__",
)
"""A module imports from its own room and from those before it. Two parts of rooms stand higher than the rest: the

factory turns what telephony and recognition tell into events, and compiling a model tries it with the recognizer.
"""
PURE = [
    "audio.chunk",
    "audio.g711",
    "audio.bandwidth_extension",
    "audio.polyphase",
    "audio.wav_format",
    "audio.wav_samples",
    "audio.resampler",
    "audio.float_bytes",
    "telephony.twilio.messages",
    "telephony.twilio.signature",
    "telephony.twilio.twiml",
    "telephony.media_stream",
    "telephony.outcomes",
    "telephony.track_clock",
    "recognition.endpointer",
    "recognition.endpointer_parameters",
    "recognition.model_endpointer",
    "recognition.voice_activity",
    "recognition.word_evidence",
    "recognition.chunk_schedule",
    "recognition.pre_roll",
    "recognition.stationary_sound",
    "recognition.timestamp_mapper",
    "recognition.results",
    "recognition.utterance_tracker",
    "recognition.hints",
    "recognition.options",
    "recognition.ports",
    "recognition.fed_audio",
    "recognition.endpointer_state",
    "recognition.track_steps",
    "recognition.supervisor.partial_sequence",
    "recognition.word_errors",
    "recognition.track_room",
    "recognition.worker.protocol",
    "events.schema",
    "events.json_schema",
    "events.factory",
    "events.captions",
    "events.conversation",
    "outbox.stream_writes",
    "outbox.stream_naming",
    "outbox.ports",
    "store.keys",
    "store.call_summary",
    "store.call_cursor",
    "store.scripts",
    "store.redis.topics",
    "store.write_arguments",
    "store.search.script",
    "store.search.query",
    "store.ports",
    "benchmark.fleet_size",
    "benchmark.sizing_costs",
    "webhooks.retry_policy",
    "webhooks.signing",
    "calls.pending_sockets",
    "calls.speaker_labels",
    "web.access.signed_form",
    "web.api.content_negotiation",
    "web.limits.token_bucket",
    "web.transport.client_address",
    "settings.api_keys",
    "settings.web_origin",
    "settings.signing_secret",
    "settings.endpoint_limits",
    "settings.host_address",
    "observability.url_credentials",
    "errors",
    "runtime.bpf",
    "runtime.seccomp",
]
IMPURE = {"asyncio", "threading", "concurrent", "subprocess", "time", "os", "pathlib", "socket", "importlib"}
IMPURE |= {"tempfile", "shutil", "signal", "logging", "random", "aiohttp", "redis", "vosk", "webrtcvad"}
IMPURE_CALLS = {"open", "input", "print", "__import__", "exec", "eval"}
HOMES = {"vosk": {"recognition.vosk_engine", "benchmark.bare_vosk"}, "webrtcvad": {"recognition.vad"}}
HOMES |= {"ctypes": {"runtime.kernel_calls", "recognition.vad_memory"}}
HOMES |= {"redis": {"store", "webhooks"}, "rich": {"cli.rich_terminal"}, "psutil": {"benchmark"}}
HOMES |= {"scipy": set(), "twilio": set()}  # second opinions of the tests
HOMES |= {"aiohttp": {"web", "webhooks", "cli", "server", "telephony", "catalog", "benchmark"}}
MAX_MODULE, MAX_FUNCTION = 250, 50


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


@cache
def imports(module: str) -> tuple[str, ...]:
    """Full names; those of the project without `transcriber.`, of modules and not of what is in them."""
    return tuple(_imports(module))


def _imports(module: str) -> Iterator[str]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}".removeprefix("transcriber.")
                yield whole if whole in MODULES else node.module.removeprefix("transcriber.")


def level(module: str) -> int:
    """Of the longest room that it lies in; the package itself, where the version stands, is below all."""
    parts = module.split(".")
    rooms = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((ROOMS.index(room) for room in rooms if room in ROOMS), -1)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_keeps_to_its_place(module: str) -> None:
    for name in imports(module):
        if name in MODULES:
            assert level(name) <= level(module), f"{module} imports {name}"
        homes = HOMES.get(name.split(".")[0], {module})
        inside = name in MODULES or any(f"{module}.".startswith(f"{home}.") for home in homes)
        assert inside, f"{module} imports {name}"
    assert MODULES[module].read_text().count("\n") <= MAX_MODULE
    for node in ast.walk(tree(module)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION, node.name


def test_every_module_has_a_room() -> None:
    assert [module for module in MODULES if level(module) < 0 and module not in ("", "__init__")] == []


def test_imports_go_in_no_circle() -> None:
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way[way.index(module) :], module))
        if module in done:
            return
        for name in imports(module):
            if name in MODULES and name != module:
                visit(name, (*way, module))
        done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_does_nothing_but_compute(module: str) -> None:
    """No tasks, threads, clock, files, sockets; and nothing that does, at second hand."""
    for name in imports(module):
        assert name.split(".")[0] not in IMPURE, f"{module} imports {name}"
        assert name not in MODULES or name in PURE, f"{module} imports {name}, which is not pure"
    calls = {
        node.func.id
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & IMPURE_CALLS
