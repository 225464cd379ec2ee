"""The program `transcriber`, also as `python -m transcriber`.

It obeys SIGTERM and SIGINT before it imports anything that takes long. The kernel drops signals without a handler that
are sent to the first process of a container (pid_namespaces(7)), so that one sent while modules are imported would be
lost, and the container would stay until its grace period is over. SIGINT becomes KeyboardInterrupt only when everything
is imported: raised in the middle of an extension module's import it has ended the process by SIGSEGV.
"""

import os
import signal
import sys

STATUS_OF_SIGNALS = 128
"""The exit status of a program that a signal has ended is this and the signal's number, as shells count."""


def main() -> int:
    """Run the command line; its exit status."""
    first = os.getpid() == 1
    interruptible = (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )  # not for what runs behind `nohup … &`
    if first:
        signal.signal(signal.SIGTERM, _end)
    if interruptible:
        signal.signal(signal.SIGINT, _end if first else signal.SIG_DFL)
    from transcriber.cli.main import main as run  # only now: this is what takes long

    def begin() -> None:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    return run(begin=begin)


def _end(number: int, _: object) -> None:
    """Nothing has begun yet that would have to be finished; commands that have something take the signal themselves."""
    os._exit(STATUS_OF_SIGNALS + number)


if __name__ == "__main__":
    sys.exit(main())
