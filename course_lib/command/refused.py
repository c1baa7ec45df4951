"""How a command says that it cannot go on."""


class Refused(Exception):
    """The command cannot go on; the message says what was expected, what came, and what to do."""
