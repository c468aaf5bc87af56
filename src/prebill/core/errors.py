"""Errors that end what was being done. Expected findings are data, not errors.

Every error has a stable ``code``, the facts as attributes and a sentence that says what to do.
"""


class PrebillError(Exception):
    """Something cannot go on; ``str(error)`` tells the user what to do about it."""

    code = "error"

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.facts = facts


class SchemaError(PrebillError):
    """A frame lacks a column or has one of the wrong type."""

    code = "schema"


class MoneyError(PrebillError):
    """An amount, price or quantity is outside the limits, inexact, or in an unknown currency."""

    code = "money"


class ContractError(PrebillError):
    """A data contract itself is wrong: unknown key, unenforceable rule, breaking change."""

    code = "data_contract"


class InputError(PrebillError):
    """What the user handed in can't be used as it is: a missing file, column or argument."""

    code = "input"


class NotFoundError(PrebillError):
    """The named object does not exist."""

    code = "not_found"


class ConflictError(PrebillError):
    """The object changed meanwhile, or is not in a state that allows this."""

    code = "conflict"


class ForbiddenError(PrebillError):
    """The signed-in user may not do this."""

    code = "forbidden"


class UnauthenticatedError(PrebillError):
    """No valid credential was given."""

    code = "unauthenticated"


class StorageError(PrebillError):
    """A database or lake is absent, locked, full, or of another schema version."""

    code = "storage"


class ModelError(PrebillError):
    """A model is missing, altered or does not fit its features."""

    code = "model"


class PolicyError(PrebillError):
    """A policy text is wrong."""

    code = "policy"


class TransientError(PrebillError):
    """An outside system failed in a way that a retry may mend."""

    code = "transient"


class PermanentError(PrebillError):
    """An outside system refused; a person must look."""

    code = "permanent"
