"""The one exception whose text is meant for the person at the keyboard."""

from interp.support.limits import MOST_LISTS


class UserError(ValueError):
    """Bad input: one clear line that says what is wrong and what is allowed.

    Command lines print it on stderr and exit with status 2; the page shows it beside the field.
    """


def at_least(settings: object, **least: int) -> None:
    """Check counts that were given as flags: ``at_least(self, lists=1, length=2)``.

    Raises:
        UserError: naming the first flag that is too small, or beyond ``MOST_LISTS``.
    """
    for name, bound in least.items():
        flag, value = "--" + name.replace("_", "-"), getattr(settings, name)
        if value < bound:
            raise UserError(f"{flag} must be at least {bound}, not {value}")
        if value > MOST_LISTS:
            raise UserError(f"{flag} must be at most {MOST_LISTS:,}, not {value:,}")


def check_decay(value: float) -> None:
    """Check the ``--decay`` of an exponential average.

    Raises:
        UserError: if it is not between 0 and 1, both left out.
    """
    if not 0 < value < 1:
        raise UserError(f"--decay must be above 0 and below 1, not {value}")
