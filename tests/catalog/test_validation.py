"""Damaged folders: refused with what is wrong, before Vosk refuses, aborts, crashes or recognises other words."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from transcriber import catalog
from transcriber.catalog import fst, validation
from transcriber.errors import ModelError

LOAD = """
import sys
from pathlib import Path
from transcriber.catalog import describe
from transcriber.recognition.vosk_engine import VoskEngine
from transcriber.errors import ModelError
try:
    recognizer = VoskEngine(describe(Path(sys.argv[1]))).create()
    recognizer.accept(bytes(32000))
    recognizer.finish()
except ModelError as error:
    print(error)
    sys.exit(9)
"""
Damage = Callable[[Path], object]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the demo model to break."""
    target = tmp_path / "model"
    shutil.copytree(catalog.find("en-demo", tmp_path).path, target)
    return target


def removed(part: str) -> Damage:
    return lambda model: (model / part).unlink()


def cut(part: str, share: float) -> Damage:
    return lambda model: os.truncate(model / part, int((model / part).stat().st_size * share))


def replaced(part: str, text: str) -> Damage:
    return lambda model: (model / part).write_text(text)


def lines(part: str, count: int) -> Damage:
    """Cut at the end of a line."""
    return lambda model: (model / part).write_text("".join((model / part).read_text().splitlines(True)[:count]))


def without(part: str, word: str) -> Damage:
    def edit(model: Path) -> None:
        kept = [line for line in (model / part).read_text().splitlines(True) if word not in line]
        (model / part).write_text("".join(kept))

    return edit


def half_an_ivector(model: Path) -> None:
    (model / "ivector").mkdir()
    (model / "ivector" / "final.ie").write_bytes(b"\0B<IvectorExtractor> ")


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no acoustic model": (removed("am/final.mdl"), "no am/final.mdl"),
    "an empty acoustic model": (cut("am/final.mdl", 0), "am/final.mdl is empty"),
    "another file as acoustic model": (replaced("am/final.mdl", "<html>404</html>"), "am/final.mdl is not a Kaldi"),
    "half an acoustic model": (cut("am/final.mdl", 0.5), "am/final.mdl is cut short"),
    "nearly all of an acoustic model": (cut("am/final.mdl", 0.999999), "am/final.mdl is cut short"),
    "no graph": (removed("graph/Gr.fst"), "no graph/HCLG.fst"),
    "an empty graph": (cut("graph/Gr.fst", 0), "graph/Gr.fst is empty"),
    "the start of a graph": (cut("graph/Gr.fst", 0.00002), "graph/Gr.fst is cut short"),
    "nearly all of a grammar": (cut("graph/Gr.fst", 0.999999), "graph/Gr.fst is cut short"),
    "another file as graph": (replaced("graph/HCLr.fst", "<html>404</html>"), "graph/HCLr.fst is not an FST"),
    "half a lexicon": (cut("graph/HCLr.fst", 0.5), "graph/HCLr.fst is cut short"),
    "nearly all of a lexicon": (cut("graph/HCLr.fst", 0.99), "graph/HCLr.fst is cut short"),
    "no disambiguation symbols": (removed("graph/disambig_tid.int"), "no graph/disambig_tid.int"),
    "empty disambiguation symbols": (cut("graph/disambig_tid.int", 0), "graph/disambig_tid.int is empty"),
    "some disambiguation symbols": (lines("graph/disambig_tid.int", 3), "graph/disambig_tid.int is cut short"),
    "odd disambiguation symbols": (replaced("graph/disambig_tid.int", "317\nx\n"), "is not a list of numbers"),
    "no words": (removed("graph/words.txt"), "no graph/words.txt"),
    "half the words": (lines("graph/words.txt", 1100), "graph/words.txt is cut short"),
    "half of the word boundaries": (cut("graph/phones/word_boundary.int", 0.5), "word_boundary.int is cut short"),
    "no features": (removed("conf/mfcc.conf"), "no conf/mfcc.conf"),
    "empty features": (cut("conf/mfcc.conf", 0), "conf/mfcc.conf is empty"),
    "half an option": (replaced("conf/mfcc.conf", "--use-energy=false\n-num"), "a line that is no option: '-num'"),
    "no decoder settings": (removed("conf/model.conf"), "no conf/model.conf"),
    "no silence phones": (without("conf/model.conf", "silence-phones"), "names no --endpoint.silence-phones"),
    "half a speaker adaptation": (half_an_ivector, "no ivector/final.dubm"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(copied: Path, damage: str) -> None:
    harm, says = DAMAGES[damage]
    harm(copied)
    with pytest.raises(ModelError, match="is not a complete Vosk model") as refusal:
        catalog.describe(copied).check()
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    "damage",
    [
        "half an acoustic model",
        "nearly all of a grammar",
        "nearly all of a lexicon",
        "some disambiguation symbols",
        "half the words",
        "no silence phones",
        "empty features",
    ],
)
def test_a_process_that_loads_it_lives_to_say_so(copied: Path, damage: str) -> None:
    """Bare Vosk refuses without a reason, crashes (SIGSEGV), aborts (SIGABRT) or hears other words on these."""
    harm, says = DAMAGES[damage]
    harm(copied)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(copied)], capture_output=True, text=True, check=False, timeout=50
    )
    assert (done.returncode, done.stderr) == (9, "")
    assert says in done.stdout


def test_a_whole_model_has_no_faults_and_still_loads(copied: Path) -> None:
    assert validation.faults(copied) == []
    assert validation.warnings(copied) == []
    (copied / "graph" / "phones" / "word_boundary.int").unlink()
    assert validation.faults(copied) == []
    assert validation.warnings(copied) == ["no graph/phones/word_boundary.int: the times of words will be rough"]
    done = subprocess.run([sys.executable, "-c", LOAD, str(copied)], check=False, timeout=50)
    assert done.returncode == 0


def test_a_folder_of_the_old_kind(copied: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    for part in ("am/final.mdl", "conf/mfcc.conf", "graph/HCLr.fst", "graph/Gr.fst", "graph/words.txt"):
        shutil.copy(copied / part, old)
    assert validation.faults(old) == ["no disambig_tid.int"]
    shutil.copy(copied / "graph/disambig_tid.int", old)
    assert validation.faults(old) == []
    catalog.describe(old).check()


@pytest.mark.hostile
@pytest.mark.parametrize(
    "part",
    [
        *("graph/HCLr.fst", "graph/Gr.fst", "am/final.mdl", "graph/words.txt", "graph/disambig_tid.int"),
        *("graph/phones/word_boundary.int", "conf/mfcc.conf", "conf/model.conf"),
    ],
)
@pytest.mark.parametrize("arcs", [False, True])
def test_damage_anywhere_is_told_or_not_seen_but_never_an_error(copied: Path, part: str, *, arcs: bool) -> None:
    whole, chance = (copied / part).read_bytes(), random.Random(part)
    for _ in range(60):
        data = bytearray(whole)
        at = chance.randrange(chance.choice((len(data), min(len(data), 400))))
        junk = chance.choice((b"\xff" * 8, b"\xff" * 7 + b"\x7f", bytes(8), chance.randbytes(8), b"9" * 5000))
        data[at : at + len(junk)] = junk
        (copied / part).write_bytes(data)
        assert all(isinstance(fault, str) and "\n" not in fault for fault in validation.faults(copied, arcs=arcs))
        with suppress(ModelError):
            catalog.describe(copied).check()


def test_lookahead_inside_lookahead_is_refused(copied: Path) -> None:
    graph = copied / "graph" / "HCLr.fst"
    data = graph.read_bytes()
    head = data[: data.index(fst.MAGIC.to_bytes(4, "little"), 4)]
    graph.write_bytes(head * 3000 + data)
    assert validation.faults(copied) == ["graph/HCLr.fst has a damaged header"]


def test_arcs_that_lead_nowhere_are_seen_when_asked_for(copied: Path) -> None:
    graph = copied / "graph" / "Gr.fst"
    data = bytearray(graph.read_bytes())
    data[-4:] = (2**30).to_bytes(4, "little")
    graph.write_bytes(data)
    assert validation.faults(copied) == []
    assert validation.faults(copied, arcs=True) == ["graph/Gr.fst is damaged: arcs lead to states that are not there"]


@pytest.mark.hostile
def test_random_damage_ends_in_words_not_in_a_traceback(copied: Path) -> None:
    for part in ("graph/HCLr.fst", "graph/Gr.fst", "am/final.mdl"):
        whole = (copied / part).read_bytes()
        for at in range(200):
            (copied / part).write_bytes(whole[:at] + b"\xff" + whole[at + 1 : -1])
            assert validation.faults(copied) != [], (part, at)
        (copied / part).write_bytes(whole)
