"""What breaks while a student's part runs in the engine, in words."""

from collections.abc import Iterator
from contextlib import contextmanager

from cblab.core.errors import ForwardPassError, IntegrityError
from cblab.lab.protocol import BlankError, StudentError
from cblab.lab.trial import Trial


@contextmanager
def told(t: Trial, where: str) -> Iterator[None]:
    """Fail the trial, naming `where`, with what the student's part or a step of the engine raises within.

    A blank stays a blank, also where the engine has wrapped it.
    """
    try:
        yield
    except BlankError:
        raise
    except StudentError as error:
        t.fail(f"{where}: {error}")
    except (ForwardPassError, IntegrityError, RuntimeError, ValueError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, BlankError):
            raise cause from None
        t.fail(f"{where}, a step broke: {cause}")
