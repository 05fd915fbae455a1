"""The process of one cell: `python -m dermseg.benchmark.engines.worker JOB` with the job as JSON.

It ends when the process that started it does, however that ends: otherwise a cell of a killed benchmark
would run on unseen, and the benchmark that is continued would wait for it.
"""

import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dermseg.benchmark.cell import Ending

ENDINGS: "dict[int, Ending]" = {0: "done", 10: "failed", 11: "paused", 12: "elsewhere"}
"""Exit status of the process, and how the cell ended; any other status is a crash."""


def main(words: list[str]) -> int:
    """Run the job and return the exit status."""
    # Shells ignore it in what they start in the background, which is inherited; here it is the order to stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from dermseg.benchmark.cell import Job, run_cell

    try:
        ending = run_cell(Job(**json.loads(words[0]))).ending
    except KeyboardInterrupt:
        ending = "paused"
    return next(status for status, meaning in ENDINGS.items() if meaning == ending)


def _end_with_parent() -> None:
    """Wait for the end of the standard input, which the parent holds open as long as it lives."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
