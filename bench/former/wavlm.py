"""The former name of a study."""

raise SystemExit("python -m bench.wavlm is now: python -m bench.studies wavlm")
