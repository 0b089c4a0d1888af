"""The one exception whose text is meant for the person at the keyboard."""


class UserError(ValueError):
    """Bad input: one clear line that says what is wrong and what is allowed.

    Command lines print it on stderr and exit with status 2; the page shows it beside the field.
    """
