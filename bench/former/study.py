"""The former name of a study."""

raise SystemExit("python -m bench.study is now: python -m bench.studies distillation")
