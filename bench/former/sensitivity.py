"""The former name of a study."""

raise SystemExit("python -m bench.sensitivity is now: python -m bench.studies sensitivity")
