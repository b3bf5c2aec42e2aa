"""How right a variant is. In: recordings, models. Out: scores by file and perturbation, and a verdict on each variant.

`parts` chooses the seconds; `heard` runs several models through one file; `der` and `errors` score what they say, file
by file in `hearing`; `scoring` keeps each score, in the `cache` too; `replicate` hears again under other
perturbations; `evidence` and `verdict` judge.
`selfcheck` (with `damage`) and `coverage` try verdicts and intervals; `tune` finds thresholds.
"""
