"""What a run found, for people. In: findings, or a stored run. Out: tables in the terminal, a page, a summary.

Nothing here measures. `terminal` prints; `document` is all of a run as plain values, of which `page` and `tables` are
made; `claims` sets the paper's findings beside this run's.
"""
