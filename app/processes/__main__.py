"""A process under the supervisor: `python -m app.processes worker|engine|admin`, its assignment on standard input."""

from __future__ import annotations

import sys

from app.processes.child import ChildProcess


def main() -> None:
    child = ChildProcess()
    if sys.argv[1] == "engine":
        from app.processes.engine import run_engine  # a worker needs no onnxruntime

        run_engine(child)
    elif sys.argv[1] == "admin":
        from app.processes.admin import run_admin

        run_admin(child)
    else:
        from app.processes.worker import run_worker

        run_worker(child)


if __name__ == "__main__":
    main()
