"""torch.compile on the shared, folded trunk."""

import time

import torch

from variants.errors import UnavailableError
from variants.registry import variant
from variants.runtime.onnx import SAMPLES

from .shared_trunk import SharedTrunk


def need_compiler() -> None:
    """Raise UnavailableError unless Inductor finds a C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except Exception as error:  # Inductor's own type, which is private
        reason = str(error).split("\n")[0] or type(error).__name__
        raise UnavailableError(f"torch.compile needs a C++ compiler, such as g++: {reason}") from None


@variant(
    "torch-compile",
    title="torch.compile",
    parent="shared-folded",
    exact=True,
    default=False,
    probe=need_compiler,
    exported_by="onnx-tuned",
)
def compile_trunk(model: SharedTrunk) -> SharedTrunk:
    """The trunk by Inductor, weights frozen into it; compiled here, on one chunk, so that no round pays for it.

    The model says in `compile_seconds` how long that took.
    """
    if not isinstance(model, SharedTrunk):
        raise UnavailableError(f"torch.compile is for an XVectorSincNet's trunk, not for a {type(model).__name__}")
    start = time.perf_counter()
    trunk = torch.compile(model.trunk, options={"freezing": True})
    model.trunk = trunk  # type: ignore[method-assign]  # instead of the method
    try:
        with torch.no_grad():
            trunk(torch.zeros(1, 1, SAMPLES))
    except Exception as error:  # whatever a compiler raises
        reason = str(error).strip().split("\n")[0]
        raise UnavailableError(f"torch.compile fails here: {type(error).__name__}: {reason}") from None
    model.compile_seconds = time.perf_counter() - start
    return model
