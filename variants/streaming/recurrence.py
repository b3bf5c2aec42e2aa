"""A PyanNet's LSTMs over the last frames only: forwards from a state that was kept, backwards from the last frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from variants.errors import UnavailableError


class Recurrence(nn.Module):
    """All of a PyanNet behind its SincNet, in two parts of successive frames, so that the state between is known.

    Called with features `before` (n, rows, features), `behind` (m, rows, features) and the forward directions' `state`
    (layers, 2, rows, units) at the first of them, h and c: scores (n + m, rows, classes), and the state at the first of
    those behind. From a state of zeros these are the stock model's scores of n + m frames. Neither part may be empty.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        found = getattr(model, "lstm", None)
        given = found if isinstance(found, nn.ModuleList) else [found]
        lstms = [lstm for lstm in given if isinstance(lstm, nn.LSTM) and lstm.bidirectional]
        if not lstms or len(lstms) < len(given):
            raise UnavailableError(f"streaming needs a PyanNet of two directions, which {type(model).__name__} is not")
        layers = [(lstm, i) for lstm in lstms for i in range(lstm.num_layers)]
        self.forwards = nn.ModuleList(direction(lstm, i, "") for lstm, i in layers)
        self.backwards = nn.ModuleList(direction(lstm, i, "_reverse") for lstm, i in layers)
        linear = getattr(model, "linear", [])
        hidden = [part for layer in linear for part in (layer, nn.LeakyReLU())]
        self.scores = nn.Sequential(*hidden, model.get_submodule("classifier"), model.get_submodule("activation"))
        self.shape = len(layers), lstms[0].hidden_size

    def start(self, rows: int = 1) -> Tensor:
        """The state behind nothing."""
        layers, units = self.shape
        return torch.zeros(layers, 2, rows, units)

    def forward(self, before: Tensor, behind: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        outputs, after = self.heard(before, behind, state)
        return self.scores(outputs), after

    def heard(self, before: Tensor, behind: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """What the scores are made of (n + m, rows, 2 units), and the state."""
        count, after = before.shape[0], []
        for i, (onwards, back) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            first, (h, c) = onwards(before, (state[i, 0][None], state[i, 1][None]))
            second, _ = onwards(behind, (h, c))
            after.append(torch.cat([h, c]))
            outputs = back(torch.cat([before, behind]).flip(0))[0].flip(0)
            both = torch.cat([torch.cat([first, second]), outputs], dim=2)
            before, behind = both[:count], both[count:]
        return both, torch.stack(after)


def direction(lstm: nn.LSTM, layer: int, suffix: str) -> nn.LSTM:
    """One direction of one layer by itself; suffix: of its weights' names in torch."""
    names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if lstm.bias else [])]
    state = {f"{name}_l0": getattr(lstm, f"{name}_l{layer}{suffix}") for name in names}
    alone = nn.LSTM(state["weight_ih_l0"].shape[1], lstm.hidden_size, bias=lstm.bias)
    alone.load_state_dict(state)
    return alone.eval()
