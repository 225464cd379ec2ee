"""Models that calls ask for share a budget of memory, of which the default takes nothing."""

from pathlib import Path

from transcriber.catalog import ModelFolder
from transcriber.recognition.load_monitor import RecognitionLoad
from transcriber.recognition.model_registry import MEMORY_PER_DISK_BYTE, ModelRegistry
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.supervisor.loaded_model import LoadedModel
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.recognition.worker.protocol import Loaded, ScriptedModel

SIZE = 1000


def model_of(name: str) -> LoadedModel:
    """One that looks loaded."""
    info = Loaded(name, "en", takes_grammar=False, dynamic=False, speech_cost=0.01)
    return LoadedModel(ModelProcess(ScriptedModel()), info, workers=1, load=RecognitionLoad())


def folders_in(home: Path, *names: str) -> list[ModelFolder]:
    for name in names:
        (home / name).mkdir()
        (home / name / "final.mdl").write_bytes(bytes(SIZE))
    return [ModelFolder(name, home / name, "en", "telephone") for name in names]


async def loaded(folder: ModelFolder) -> LoadedModel:
    return model_of(folder.name)


async def asked(models: ModelRegistry, name: str) -> bool:
    """Whether a call that asks for the model gets it."""
    model, fault = await models.choose(model=name, language="")
    return fault is None and model.info.name == name


async def test_a_model_that_became_the_default_takes_no_budget_any_more(tmp_path: Path) -> None:
    folders = folders_in(tmp_path, "one", "two")
    need = MEMORY_PER_DISK_BYTE * max(folder.size_bytes for folder in folders)
    models = ModelRegistry(
        model_of("first"),
        installed=lambda: folders,
        load=loaded,
        budget_bytes=need,
    )
    assert await asked(models, "one")
    models.swap(model_of("one"))
    models.swap(model_of("first"))
    assert await asked(models, "two")


async def test_one_that_no_call_uses_makes_room_and_one_in_use_does_not(tmp_path: Path) -> None:
    folders = folders_in(tmp_path, "one", "two", "three")
    models = ModelRegistry(
        model_of("first"),
        installed=lambda: folders,
        load=loaded,
        budget_bytes=MEMORY_PER_DISK_BYTE * max(folder.size_bytes for folder in folders),
    )
    assert await asked(models, "one")
    assert await asked(models, "two")
    used, _ = await models.choose(model="two", language="")
    used.open(RecognitionOptions(), lambda results: None)
    default, fault = await models.choose(model="three", language="")
    assert default.info.name == "first"
    assert fault is not None
    assert fault.code == "model_not_loaded"
