"""How variants are measured: pipeline, corpora, timing, statistics, accuracy and report."""
