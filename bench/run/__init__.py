"""A session. In: the command line. Out: models, corpus, scores and rounds, each made once when asked for."""
