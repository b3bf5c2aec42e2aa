"""The benchmark's pytest plugin, for `pytest bench` and `pytest tests` alike."""

pytest_plugins = ["bench.plugin", "pytester"]
