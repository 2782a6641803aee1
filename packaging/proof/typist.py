#!/usr/bin/env python3
"""Runs a program at a terminal of its own, and types what a person would.

    typist.py [PROMPT=ANSWER…] -- PROGRAM…

Each answer is typed once its prompt has been shown, in this order. What the program shows goes to standard output. The
exit status is the program's, or 99 where a prompt does not come within a minute.
"""

import os
import pty
import select
import sys
import time

PATIENCE = 60  # seconds


def main() -> int:
    end = sys.argv.index("--")
    answers = [a.split("=", 1) for a in sys.argv[1:end]]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[end + 1], sys.argv[end + 1 :])
    shown, seen, until = "", 0, time.monotonic() + PATIENCE
    while True:
        ready, _, _ = select.select([terminal], [], [], max(0, until - time.monotonic()))
        if not ready:
            sys.stdout.write(f"{shown}\ntypist.py: gave up waiting{': ' + answers[0][0] if answers else ''}\n")
            return 99
        try:
            text = os.read(terminal, 4096)
        except OSError:  # the program has closed the terminal
            text = b""
        if not text:
            break
        shown += text.decode(errors="replace")
        if answers and answers[0][0] in shown[seen:]:
            seen, until = len(shown), time.monotonic() + PATIENCE
            os.write(terminal, answers.pop(0)[1].encode() + b"\r")
    sys.stdout.write(shown)
    _, status = os.waitpid(pid, 0)
    if answers:
        sys.stdout.write(f"typist.py: nobody asked: {answers[0][0]}\n")
        return 99
    return os.waitstatus_to_exitcode(status)


sys.exit(main())
