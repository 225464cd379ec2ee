"""Models that calls ask for share a budget of memory, of which the default takes nothing."""

from pathlib import Path

from transcriber.catalog import ModelFolder
from transcriber.recognition.model_registry import MEMORY_PER_DISK_BYTE, ModelRegistry
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.scripted_engine import ScriptedEngine

SIZE = 1000


def pool_of(name: str) -> RecognizerPool:
    engine = ScriptedEngine()
    engine.model = name
    return RecognizerPool(engine, keep=1)


def folders_in(home: Path, *names: str) -> list[ModelFolder]:
    for name in names:
        (home / name).mkdir()
        (home / name / "final.mdl").write_bytes(bytes(SIZE))
    return [ModelFolder(name, home / name, "en", "telephone") for name in names]


async def loaded(folder: ModelFolder) -> RecognizerPool:
    return pool_of(folder.name)


async def asked(models: ModelRegistry, name: str) -> bool:
    """Whether a call that asks for the model gets it."""
    pool, fault = await models.choose(model=name, language="")
    return fault is None and pool.engine.model == name


async def test_a_model_that_became_the_default_takes_no_budget_any_more(tmp_path: Path) -> None:
    folders = folders_in(tmp_path, "one", "two")
    need = MEMORY_PER_DISK_BYTE * max(folder.size_bytes for folder in folders)
    models = ModelRegistry(
        pool_of("first"),
        installed=lambda: folders,
        load=loaded,
        budget_bytes=need,
    )
    assert await asked(models, "one")
    models.swap(pool_of("one"))
    models.swap(pool_of("first"))
    assert await asked(models, "two")


async def test_one_that_no_call_uses_makes_room_and_one_in_use_does_not(tmp_path: Path) -> None:
    folders = folders_in(tmp_path, "one", "two", "three")
    models = ModelRegistry(
        pool_of("first"),
        installed=lambda: folders,
        load=loaded,
        budget_bytes=MEMORY_PER_DISK_BYTE * max(folder.size_bytes for folder in folders),
    )
    assert await asked(models, "one")
    assert await asked(models, "two")
    used, _ = await models.choose(model="two", language="")
    used.take()
    default, fault = await models.choose(model="three", language="")
    assert default.engine.model == "first"
    assert fault is not None
    assert fault.code == "model_not_loaded"
