"""Live streams on a core. In: models, recordings. Out: how many hold their deadline, for how long, at what cost.

`loop` is the open loop that all of it runs in: chunks arrive when the schedule says, whatever the pipelines do, and
latency counts from then. `streams` are the pipelines; `audio` what they hear; `search` finds how many hold, `soak` what
grows.
"""
