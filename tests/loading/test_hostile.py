"""Files that would run code, or fill the memory, when unpickled: here they are data, in each place of a checkpoint."""

import codecs
import contextlib
import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from pyannote.audio.core.task import Problem, Resolution, Specifications

from variants import UserError
from variants.loading import inert, load, pickled

Content = dict[str, Any]
Write = Callable[..., Path]
Refuse = Callable[..., str]
MARKER = "it ran"


class Trap:
    """Unpickled, it makes the folder `MARKER` where the test runs."""

    def __reduce__(self) -> Any:
        return os.mkdir, (MARKER,)


class Late:
    """Unpickled, its state goes to a function of the file's choice."""

    def __reduce__(self) -> Any:
        return object, (), MARKER, None, None, make


def make(_: Any, name: str) -> None:
    Path(name).mkdir()


def omega(trap: Any) -> DictConfig:
    return OmegaConf.create({"a": [1, trap]}, flags={"allow_objects": True})


SKIPPED: dict[str, Callable[[Content, Any], Any]] = {
    "callbacks": lambda whole, trap: whole.update(callbacks={"ModelCheckpoint": {"dirpath": trap}}),
    "key": lambda whole, trap: whole.update({trap: 1}),
    "before all": lambda whole, trap: (old := dict(whole), whole.clear(), whole.update({"first": trap} | old)),
    "nested": lambda whole, trap: whole.update(optimizer_states=[OrderedDict(a=OrderedDict(b=(trap, [trap])))]),
    "omegaconf": lambda whole, trap: whole.update(loops=omega(trap)),
    "beside the architecture": lambda whole, trap: whole["pyannote.audio"].update(introspection=trap),
    "key of a setting": lambda whole, trap: whole["hyper_parameters"].update({trap: 1}),
    "key of a weight": lambda whole, trap: whole.update(state_dict=whole["state_dict"] | {trap: torch.ones(1)}),
}
REFUSED: dict[str, Callable[[Content, Any], Any]] = {
    "settings": lambda whole, trap: whole.update(hyper_parameters=trap),
    "setting": lambda whole, trap: whole["hyper_parameters"].update(sample_rate=trap),
    "omegaconf's content": lambda whole, trap: whole["hyper_parameters"].update(sincnet=omega(trap)),
    "weights": lambda whole, trap: whole.update(state_dict=trap),
    "weight": lambda whole, trap: whole.update(state_dict=whole["state_dict"] | {"classifier.bias": trap}),
    "pyannote's part": lambda whole, trap: whole.update({"pyannote.audio": trap}),
    "architecture": lambda whole, trap: whole["pyannote.audio"].update(architecture=trap),
    "class": lambda whole, trap: whole["pyannote.audio"]["architecture"].update({"class": trap}),
    "specifications": lambda whole, trap: whole["pyannote.audio"].update(specifications=trap),
}


@pytest.fixture
def write(segmenter: Any, content: Callable[[Any], Content], tmp_path: Path) -> Write:
    """Writes a checkpoint of a small segmentation model, with changes to its content."""

    def save(change: Callable[[Content], Any], zipped: bool = True) -> Path:
        change(whole := content(segmenter))
        torch.save(whole, tmp_path / "model.ckpt", _use_new_zipfile_serialization=zipped)
        return tmp_path / "model.ckpt"

    return save


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `MARKER` would appear."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("trap", [Trap(), Late()])
@pytest.mark.parametrize("place", [*SKIPPED, *REFUSED])
def test_a_trap_never_runs(
    write: Write, segmenter: Any, same_weights: Callable[..., None], place: str, trap: Any, zipped: bool
) -> None:
    path = write(lambda whole: (SKIPPED | REFUSED)[place](whole, trap), zipped)
    if place in SKIPPED:
        same_weights(load("segmentation", str(path)), segmenter)
    else:
        with pytest.raises(UserError) as raised:
            load("segmentation", str(path))
        assert len(str(raised.value).splitlines()) == 1
    assert not Path(MARKER).exists()
    with contextlib.suppress(FileExistsError):  # one trap in two places
        torch.load(path, weights_only=False)
    assert Path(MARKER).is_dir()  # it was one


def test_a_trusted_file_runs_what_it_names(write: Write) -> None:
    path = write(lambda whole: whole.update(callbacks=Trap()))
    with pytest.raises(UserError, match="File exists"):  # a second time: as we look, and as pyannote loads
        load("segmentation", str(path), trust=True)
    assert Path(MARKER).is_dir()


NAME = b"X\x06\x00\x00\x00it ran"
HAND_MADE = {
    "reduce": b"cos\nmkdir\n(" + NAME + b"tR.",
    "inst": b"(" + NAME + b"ios\nmkdir\n.",
    "obj": b"(cos\nmkdir\n" + NAME + b"o.",
    "stack global": b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c\x06it ran\x85R.",
    "in a dictionary's key": b"}(cos\nmkdir\n(" + NAME + b"tRK\x01u.",
    "dropped": b"cos\nmkdir\n(" + NAME + b"tR0N.",
    "from the memo": b"cos\nmkdir\nq\x000h\x00(" + NAME + b"tR.",
    "a call's result": b"cbuiltins\ngetattr\n(cos\npath\nX\x02\x00\x00\x00ostR0cos\nmkdir\n(" + NAME + b"tR.",
    "of a call's result": b"cbuiltins\neval\n(X\x08\x00\x00\x00os.mkdirtR(" + NAME + b"tR.",
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_no_opcode_calls_anything(name: str) -> None:
    pickled.read(io.BytesIO(HAND_MADE[name]))
    assert not Path(MARKER).exists()
    with contextlib.suppress(NameError):
        pickle.loads(HAND_MADE[name])
    if name == "of a call's result":
        assert pickled.read(io.BytesIO(HAND_MADE[name])).name == "a call's own result"
    else:
        assert Path(MARKER).is_dir()  # it was one


def test_torchs_own_functions_stay_as_they_are() -> None:
    """BUILD on a function would set its attributes, for everyone in the process."""
    found = pickled.read(io.BytesIO(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb."))
    assert found == inert.Name("torch._utils._rebuild_tensor_v2")
    assert not hasattr(torch._utils._rebuild_tensor_v2, "a")


def lists(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found, found]
    return found


def circle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize("value", [lists(40), circle(), {"a": lists(40)}])
def test_structures_without_an_end_are_refused(write: Write, refusal: Refuse, value: Any) -> None:
    path = write(lambda whole: whole["hyper_parameters"].update(sincnet=value))
    assert "structure without an end" in refusal("segmentation", path)


def test_a_tensor_larger_than_its_file_takes_no_memory(write: Write, refusal: Refuse) -> None:
    huge = torch.zeros(1).expand(10**12)
    path = write(lambda whole: whole.update(state_dict=whole["state_dict"] | {"classifier.bias": huge}))
    assert "classifier.bias" in refusal("segmentation", path)


@pytest.mark.parametrize("data", [b"B\xff\xff\xff\xfe.", b"\x8e" + b"\xff" * 7 + b"\x0f."])
def test_strings_longer_than_the_pickle_take_no_memory(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        pickled.read(io.BytesIO(data))


def test_a_memo_with_one_place_holds_one() -> None:
    assert pickled.read(io.BytesIO(b"Nr\xff\xff\xff\xff.")) is None  # place 2**32 - 1


def test_weights_and_settings_that_agree_on_more_than_the_file_holds(write: Write, refusal: Refuse) -> None:
    """40 GB of LSTM, each of whose matrices is one number seen 10**9 times."""

    def change(whole: Content) -> None:
        whole["hyper_parameters"]["lstm"] = dict(whole["hyper_parameters"]["lstm"], hidden_size=30_000)
        with torch.device("meta"):
            lstm = torch.nn.LSTM(60, 30_000, bidirectional=True, batch_first=True)
        huge = {f"lstm.{name}": torch.zeros(1).expand(value.shape) for name, value in lstm.state_dict().items()}
        whole.update(state_dict=whole["state_dict"] | huge)

    assert "claim more numbers than it holds" in refusal("segmentation", write(change))


@pytest.mark.parametrize("part", ["lstm", "linear"])
def test_layers_without_weights_are_not_built(write: Write, refusal: Refuse, part: str) -> None:
    def change(whole: Content) -> None:
        settings = whole["hyper_parameters"]
        settings[part] = dict(settings[part], num_layers=10**9)

    assert "more layers than it has weights" in refusal("segmentation", write(change))


def test_sets_of_classes_are_not_counted_for_ever(write: Write, refusal: Refuse) -> None:
    def change(whole: Content) -> None:
        whole["pyannote.audio"]["specifications"] = Specifications(
            Problem.MONO_LABEL_CLASSIFICATION, Resolution.FRAME, 5.0, classes=["a"], powerset_max_classes=10**9
        )

    assert "claim 1000000000 classes at once" in refusal("segmentation", write(change))


@pytest.mark.parametrize("settings", [{"dimension": 10**7}, {"mfcc": {"melkwargs": {"n_mels": 10**6}}}])
def test_a_front_that_takes_its_memory_at_once_is_bounded(
    checkpoint: Write, refusal: Refuse, settings: dict[str, Any]
) -> None:
    def change(whole: Content) -> None:
        whole["pyannote.audio"]["architecture"].update({"class": "XVectorMFCC"})
        whole["hyper_parameters"] = settings

    assert "a size above 8192" in refusal("embedding", checkpoint(change))


@pytest.mark.parametrize("zipped", [True, False])
def test_what_takes_for_ever_to_print_is_not_printed(write: Write, refusal: Refuse, zipped: bool) -> None:
    """Forty levels of the same list twice, as the architecture's name and as a number's bytes."""

    class Number:
        def __reduce__(self) -> Any:
            return np.core.multiarray.scalar, (np.dtype("f4"), Encoded())

    class Encoded:
        def __reduce__(self) -> Any:
            return codecs.encode, (lists(40), "latin1")

    path = write(lambda whole: whole["pyannote.audio"]["architecture"].update(module=lists(40)), zipped)
    assert "names no architecture" in refusal("segmentation", path)
    path = write(lambda whole: whole["hyper_parameters"].update(sample_rate=Number()), zipped)
    assert "numpy scalar of an unknown type" in refusal("segmentation", path)


@pytest.mark.parametrize("key", [10**4000, "x" * 20_000])
def test_a_key_that_is_long_to_compare_loses_its_entry(key: Any) -> None:
    assert pickled.read(io.BytesIO(pickle.dumps({key: 1, "a": 2}))) == {"a": 2}


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, refusal: Refuse) -> None:
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**6))
    assert "holds compressed records" in refusal("segmentation", path)


def test_a_key_that_takes_for_ever_to_hash_loses_its_entry() -> None:
    """A tuple of the same tuple twice, forty levels deep: 2**40 steps to hash."""
    pair = b")" + b"2\x86" * 40
    assert pickled.read(io.BytesIO(b"\x80\x02}(" + pair + b"K\x01X\x01\x00\x00\x00aK\x02u.")) == {"a": 2}


def test_names_that_grow_without_bound_are_refused() -> None:
    long = b"X\xf4\x01\x00\x00" + b"a" * 500
    with pytest.raises(ValueError, match="proper name"):
        pickled.read(io.BytesIO(b"\x80\x04" + long + b"2\x93."))


STORED = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ"
ONE = b"K\x01\x85"


@pytest.mark.parametrize(
    "args",
    [
        b"(K\x01K\x00))t",  # of no storage
        b"(" + STORED + b"K\x00])t",  # of a list's size
        b"(" + STORED + b"K\x00(J\xff\xff\xff\xfft" + ONE + b"t",  # of a negative size
        b"(" + STORED + b"J\xff\xff\xff\xff" + ONE + ONE + b"t",  # from before the storage
        b"(" + STORED + b"K\x00(" + b"K\x01" * 65 + b"t2t",  # of 65 dimensions
    ],
)
def test_a_tensor_of_no_proper_size_is_refused(args: bytes) -> None:
    rebuild = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n"
    assert isinstance(pickled.read(io.BytesIO(rebuild + b"(" + STORED + b"K\x00" + ONE + ONE + b"tR.")), inert.Strided)
    with pytest.raises(ValueError, match="proper size"):
        pickled.read(io.BytesIO(rebuild + args + b"R."))
