"""The former name of a study."""

raise SystemExit("python -m bench.pruning is now: python -m bench.studies pruning")
