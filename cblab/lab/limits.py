"""Time limits of a student's call, in seconds of computing.

Nothing graded may depend on how busy the machine is: what is limited is the process's processor time.
Code that waits for ever computes nothing; it may take PATIENCE times as many seconds by the wall clock.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

PATIENCE = 6.0


class TimeUp(BaseException):
    """Raised in the middle of a call that has run too long; no Exception, so that few handlers stop it."""


@contextlib.contextmanager
def ends_the_process(seconds: float) -> Iterator[None]:
    """Let the system end this process when what runs within the context computes for more than `seconds`.

    No handler runs, so that no ``except`` can catch it; whoever waits for the process keeps its wall clock.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


@contextlib.contextmanager
def raises_time_up(seconds: float) -> Iterator[None]:
    """Raise TimeUp in what runs within the context if it computes for more than `seconds` or hangs.

    As well as can be done from within: on the main thread of a POSIX system, and again each second for code
    that catches it. Timers and handlers that were set before are set again afterwards.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    with (
        _timer(signal.ITIMER_PROF, signal.SIGPROF, seconds),
        _timer(signal.ITIMER_REAL, signal.SIGALRM, PATIENCE * seconds),
    ):
        yield


@contextlib.contextmanager
def _timer(which: int, signal_number: int, seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeUp

    handler = signal.signal(signal_number, ring)
    remaining, interval = signal.setitimer(which, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(which, 0)
        signal.signal(signal_number, handler)
        if remaining:
            signal.setitimer(which, remaining, interval)
