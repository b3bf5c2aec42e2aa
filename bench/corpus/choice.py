"""Which recordings a run goes through: the default ones, a built-in corpus by name, or a folder's."""

from pathlib import Path

from variants.errors import UserError

from . import CorpusError, Recording, default_corpus, embedded, load_corpus, sample

BUILTIN = {"embedded-dev": lambda: embedded("dev"), "embedded-test": lambda: embedded("test"), "sample": sample}


def choose(
    corpus: Path | None,
    files: tuple[str, ...] | None,
    shortest: float,
    rttm: Path | None = None,
    uem: Path | None = None,
) -> tuple[list[Recording], list[str]]:
    """Recordings for `--corpus`, `--files`, `--rttm` and `--uem`, and what is wrong with those left out.

    shortest: seconds that a folder's recording must last. Raises UserError, one line, if nothing can be read.
    """
    builtin = default_corpus if corpus is None else BUILTIN.get(str(corpus))
    try:
        if builtin is None:
            assert corpus is not None
            return load_corpus(corpus, files, rttm, uem, shortest)
        if rttm or uem:
            raise UserError("--rttm and --uem need --corpus DIR: the built-in corpora have their own labels")
        return _pick(builtin(), files), []
    except CorpusError as error:
        raise UserError(str(error)) from None


def _pick(recordings: list[Recording], files: tuple[str, ...] | None) -> list[Recording]:
    if files is None:
        return recordings
    known = {recording.name: recording for recording in recordings}
    unknown = [name for name in files if name not in known]
    if unknown:
        raise UserError(f"--files: unknown {', '.join(unknown)}; known are: {', '.join(known)}")
    return [known[name] for name in files]
