"""A session. In: the command line. Out: models, corpus, rounds and scores, each made once when asked for."""
