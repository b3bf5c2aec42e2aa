"""Which variant, at which step? In: a run's models and corpus. Out: one table, one sentence, one plot.

`steps` says what measured service times allow, `measure` has them measured, `sweep` the error rate by step and latency.
"""
