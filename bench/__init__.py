"""How variants are measured: one room for each step of the data's way (docs/architecture.md)."""

__path__ = [*__path__, f"{__path__[0]}/former"]  # so that `python -m bench.ablation` says what it is called now
