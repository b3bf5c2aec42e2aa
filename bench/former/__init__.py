"""Former names of commands, which say what they are called now; `bench/__init__.py` puts them on its path."""
