"""The one kind of error that is the user's to mend: it is shown as one line, never as a traceback."""


class UserError(Exception):
    """Something the user can put right; the message says what is wrong, where, and the remedy."""


class CatalogError(UserError):
    """A TOML file of the catalogue that breaks its format."""

    def __init__(self, file: object, key: str, value: object, remedy: str) -> None:
        super().__init__(f"{file}: {key} = {value!r}: {remedy}")


class LackingError(UserError):
    """This machine lacks what a stack needs; the others can go on."""
