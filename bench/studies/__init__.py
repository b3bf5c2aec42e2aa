"""Questions of their own, each a command with its tables. In: models, corpora, options. Out: Markdown for `docs/`."""
