"""Finding models, and refusing folders on which Vosk would abort the process."""

import shutil
from pathlib import Path

import pytest

from transcriber import catalog
from transcriber.errors import ModelError
from transcriber.recognition.vosk_engine import VoskEngine


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the demo model to break."""
    target = tmp_path / "data" / "models" / "vosk-model-small-xx-0.1"
    shutil.copytree(catalog.find("en-demo", tmp_path).path, target)
    return target


def test_the_demo_model_is_the_default_until_a_better_one_is_there(tmp_path: Path) -> None:
    assert catalog.find("", tmp_path).name == "en-demo"
    folder = catalog.find("en-demo", tmp_path)
    assert (folder.language, folder.band) == ("en", "telephone")


def test_pulled_models_come_first(copied: Path, tmp_path: Path) -> None:
    assert catalog.find("", tmp_path / "data" / "models").path == copied
    assert catalog.find(str(copied), tmp_path).language == "xx"


def test_the_band_follows_from_the_features(copied: Path) -> None:
    conf = copied / "conf" / "mfcc.conf"
    conf.write_text(conf.read_text().replace("--high-freq=3700", "--high-freq=7600"))
    assert catalog.describe(copied).band == "wide"


@pytest.mark.parametrize("part", ["am/final.mdl", "conf/model.conf", "conf/mfcc.conf", "graph/Gr.fst"])
def test_incomplete_folders_are_refused_before_vosk_sees_them(copied: Path, part: str) -> None:
    (copied / part).unlink()
    with pytest.raises(ModelError, match="not a complete Vosk model"):
        VoskEngine(catalog.describe(copied))


def test_other_sampling_rates_are_refused(copied: Path) -> None:
    conf = copied / "conf" / "mfcc.conf"
    conf.write_text(conf.read_text().replace("--sample-frequency=16000", "--sample-frequency=8000"))
    with pytest.raises(ModelError, match="8000 Hz"):
        VoskEngine(catalog.describe(copied))


def test_an_unknown_name_lists_what_is_installed(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model 'nope'.*en-demo"):
        catalog.find("nope", tmp_path)
