"""Stored runs. In: files of pytest-benchmark, or results.json. Out: documents, and ratios to set beside new ones."""
