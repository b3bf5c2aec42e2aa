"""Errors that are the user's to mend: one line that says what is wrong, where, and what to do."""


class UserError(Exception):
    """Shown as its one-line message, without a traceback; the command exits non-zero."""


class UnavailableError(UserError):
    """A variant cannot run here (a package or a CPU feature is missing): it is skipped with this reason."""
