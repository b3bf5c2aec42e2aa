"""The gate: whether a change made a variant slower or less accurate, on machines that others share."""
