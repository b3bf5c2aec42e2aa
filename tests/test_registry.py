"""The registry: what it refuses, what it selects, and how models are built from their parents'."""

from typing import Any

import pytest
import torch
from diart.models import EmbeddingModel
from torch import nn

from variants import (
    MODELS,
    Provenance,
    UnavailableError,
    UserError,
    ancestry,
    as_embedding_model,
    build,
    get,
    names,
    provenance_of,
    registry,
    select,
)
from variants import variant as register  # `variant` is the name of a parameter of every benchmark
from variants.provenance import stamp


def append(text: str) -> Any:
    """A technique on a model that is a list: appends a word."""

    def technique(model: Any) -> Any:
        model.words.append(text)
        return model

    return technique


class Words(nn.Module):
    """A model that shows what was done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> None:
    """root <- child <- grandchild, and an aside that is not measured by default."""
    monkeypatch.setattr(registry, "_registry", {})
    register("root", parent=None, exact=True)(append("root"))
    register("child", parent="root", tolerance=2.5, title="Child")(append("child"))
    register("grandchild", parent="child", exact=True, needs=["torch"])(append("grandchild"))
    register("aside", parent="root", exact=True, default=False)(append("aside"))


def test_the_papers_rows_and_the_control_are_registered() -> None:
    rows = {v.name: v.paper for v in select("all") if v.paper is not None}
    assert list(rows.items()) == [
        ("baseline", "Baseline"),
        ("distilled", "knowledge distillation"),
        ("distilled-pruned-structured", "+ structured pruning"),
        ("distilled-pruned-unstructured", "+ unstructured pruning"),
        ("distilled-fused", "+ layer fusion"),
        ("distilled-int8", "+ int8 quantization"),
        ("distilled-onnx", "+ ONNX"),
    ]
    assert {"baseline-twin", "distilled-onnx-pinned"} <= set(names())
    assert get("baseline").parent is None
    assert get("baseline-twin").parent == get("distilled").parent == "baseline"
    assert all(get(name).parent == "distilled" for name in [*list(rows)[2:], "distilled-onnx-pinned"])
    assert [v.name for v in select("all") if not v.pinned] == ["distilled-onnx"]


@pytest.mark.usefixtures("family")
def test_unknown_names_list_the_known_ones() -> None:
    for lookup in (get, select, ancestry, lambda name: build(name, Words())):
        with pytest.raises(UserError, match=r"^unknown variant 'chill'; known are: root, child, grandchild, aside$"):
            lookup("chill")


@pytest.mark.usefixtures("family")
def test_selection() -> None:
    def chosen(spec: str | None) -> list[str]:
        return [v.name for v in select(spec)]

    assert chosen(None) == ["root", "child", "grandchild"]
    assert chosen("all") == chosen(" all ") == ["root", "child", "grandchild", "aside"]
    assert chosen("aside") == ["aside"]
    assert chosen("grandchild, root ,,grandchild") == ["grandchild", "root"]
    for empty in ("", " , "):
        with pytest.raises(UserError, match="--variants names none; known are: root, child, grandchild, aside"):
            select(empty)


@pytest.mark.usefixtures("family")
def test_what_cannot_be_registered() -> None:
    with pytest.raises(ValueError, match="'child' is registered twice"):
        register("child", exact=True)(append("x"))
    for name in ("", "a,b", "a b", "a[1]"):
        with pytest.raises(ValueError, match="must not be empty or hold commas, spaces or brackets"):
            register(name, exact=True)(append("x"))
    with pytest.raises(ValueError, match="'loose' is not exact: declare its tolerance in DER points"):
        register("loose")(append("x"))
    assert names() == ["root", "child", "grandchild", "aside"]


@pytest.mark.usefixtures("family")
def test_declarations_and_defaults() -> None:
    child, root = get("child"), get("root")
    assert (child.title, child.parent, child.paper, child.exact, child.tolerance) == ("Child", "root", None, False, 2.5)
    assert (root.title, root.tolerance, root.needs, root.default, root.pinned) == ("root", 0.05, (), True, True)
    register("plain", exact=True)(append("x"))
    assert get("plain").parent == "baseline"


@pytest.mark.usefixtures("family")
def test_ancestry_from_the_root() -> None:
    assert [v.name for v in ancestry("grandchild")] == ["root", "child", "grandchild"]
    assert [v.name for v in ancestry("root")] == ["root"]


@pytest.mark.usefixtures("family")
def test_a_circle_of_parents_is_refused() -> None:
    register("hen", parent="egg", exact=True)(append("hen"))
    register("egg", parent="hen", exact=True)(append("egg"))
    with pytest.raises(UserError, match="'hen': its parents form a circle at 'hen'"):
        ancestry("hen")
    register("orphan", parent="nobody", exact=True)(append("orphan"))
    with pytest.raises(UserError, match="unknown variant 'nobody'"):
        build("orphan", Words())


@pytest.mark.usefixtures("family")
def test_build_composes_and_leaves_the_root_untouched() -> None:
    root = Words()
    assert build("grandchild", root).words == ["root", "child", "grandchild"]
    assert build("aside", root).words == ["root", "aside"]
    assert root.words == []


def test_every_real_variant_leaves_the_root_untouched(stock: Any) -> None:
    before = {key: value.clone() for key, value in stock.state_dict().items()}
    layers = str(stock)
    for name in ("distilled", "distilled-pruned-structured", "distilled-fused"):
        build(name, stock)
    assert str(stock) == layers
    assert all(torch.equal(before[key], value) for key, value in stock.state_dict().items())


@pytest.mark.usefixtures("family")
def test_what_is_missing_is_named_before_anything_is_built() -> None:
    built = []
    register("needy", parent="root", exact=True, needs=["no_such_package", "torch", "nor_this"])(built.append)
    register("heir", parent="needy", exact=True)(built.append)
    with pytest.raises(UnavailableError, match="'needy' needs no_such_package, nor_this: pip install no_such_package"):
        build("needy", Words())
    with pytest.raises(UnavailableError, match="'heir' needs no_such_package"):
        build("heir", Words())
    assert not built


@pytest.mark.usefixtures("family")
def test_provenance_is_inherited_until_somebody_knows_better() -> None:
    loaded, trained = Provenance("file", "a" * 64, trained=True), Provenance("recipe", "b" * 64, trained=True)
    register("other", parent="child", exact=True)(lambda model: stamp(Words(), trained))
    register("heir", parent="other", exact=True)(lambda model: Words())
    root = stamp(Words(), loaded)
    assert provenance_of(build("grandchild", root)) == loaded
    assert provenance_of(build("other", root)) == trained
    assert provenance_of(build("heir", root)) == trained
    assert provenance_of(build("grandchild", Words())) is None
    assert str(loaded) == "file (aaaaaaaaaaaa)"
    assert str(Provenance("none", "c" * 64, trained=False)) == "none (cccccccccccc, random weights)"


def test_models_are_wrapped_for_diart_once() -> None:
    model = Words()
    wrapped = as_embedding_model(model)
    assert isinstance(wrapped, EmbeddingModel)
    wrapped.load()
    assert wrapped.model is model
    assert as_embedding_model(wrapped) is wrapped


@pytest.mark.usefixtures("family")
def test_segmentation_variants_are_kept_apart() -> None:
    register("seg", parent=None, model="segmentation", exact=True)(append("seg"))
    assert names() == ["root", "child", "grandchild", "aside"] and names("segmentation") == ["seg"]
    assert "seg" not in [v.name for v in (*select("all"), *select(None))]
    with pytest.raises(UserError, match="unknown variant 'seg'; known are: root"):
        select("root,seg")
    with pytest.raises(UserError, match="unknown variant 'root'; known are: seg"):
        get("root", "segmentation")
    assert build("seg", Words()).words == ["seg"]


def test_what_keeps_work_names_what_can_be_exported() -> None:
    everything = [get(name) for kind in MODELS for name in names(kind)]
    kept = {v.name: v.exported_by for v in everything if v.exported_by is not None}
    assert {"cached-sinc", "best-exact", "segmentation-cached"} <= set(kept)
    for name, nearest in kept.items():
        assert get(nearest).exported_by is None and get(nearest).model == get(name).model
    assert get(get("best-exact").segmentation or "").model == "segmentation"
