"""The former name of a study."""

raise SystemExit("python -m bench.ablation is now: python -m bench.studies ablation")
