"""`roberta-serve predict MODEL INPUT [-o OUTPUT]`: answer every row of files, without a server."""

from __future__ import annotations

import re
import signal
import sys
from argparse import Namespace
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import NoReturn

from app.bulk.errors import BulkError
from app.bulk.finding import find_bundle
from app.bulk.job import Plan, finish_file, identity, model_digest, open_reader, open_writer, predict_rows
from app.bulk.opening import open_predictor
from app.bulk.predicting import Predictor
from app.bulk.progress import Progress, cleared
from app.bulk.resuming import Partial, Stream, restart
from app.bulk.rows import START, Reader
from app.bulk.writing import Writer
from app.bundle import BundleError
from app.command_line.output import READER_GONE
from app.commands.parsing import complain
from app.commands.predict_files import is_for_many, predict_files
from app.commands.predict_flags import STANDARD, flag_of, options_of, settings_of
from app.errors import InvalidRequestError
from app.logs import configure_logs
from app.runtime.session import SessionError
from app.settings import Settings
from app.tasks import task_named

FIELD = re.compile(r"(parameters\.)?(?P<name>[a-z_]+)[:. ]")
FAILED, WRONG_FLAGS = 1, 2


class Interrupted(BaseException):
    """A signal ends the command."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(flags: Namespace) -> None:
    """Predict, and end with one of the exit codes that `--help` lists."""
    if STANDARD in flags.inputs and len(flags.inputs) > 1:
        complain("standard input is read by itself; give - or files")
        raise SystemExit(WRONG_FLAGS)
    settings = settings_of(flags)
    configure_logs(settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    raise SystemExit(code_of(flags, settings))


def interrupt(number: int, _: FrameType | None) -> NoReturn:
    raise Interrupted(number)


def code_of(flags: Namespace, settings: Settings) -> int:
    """Predict, and return the exit code; what ends it is said in one sentence."""
    try:
        return predict(flags, settings)
    except (BulkError, BundleError, SessionError) as error:
        complain(str(error))
        return FAILED
    except InvalidRequestError as error:
        complain(as_flag(str(error)))
        return WRONG_FLAGS
    except BrokenPipeError:
        return READER_GONE
    except OSError as error:
        complain(f"{error.filename or 'standard output'}: {error.strerror or error}")
        return FAILED
    except Interrupted as interrupted:
        return 128 + interrupted.number


def as_flag(sentence: str) -> str:
    """Name a field of a request by its flag, where a sentence begins with one."""
    found = FIELD.match(sentence)
    return sentence if found is None else f"{flag_of(found['name'])}{sentence[found.end() - 1 :]}"


def predict(flags: Namespace, settings: Settings) -> int:
    plan = plan_of(flags)
    if is_for_many(flags):
        return predict_files(flags, plan, settings)
    plan.check()
    bundle = find_bundle(flags.model, settings)
    options, task = options_of(flags), task_named(bundle.manifest.task)
    with (
        closing(open_reader(plan, task.pair, needs_pair=task.needs_pair)) as reader,
        open_predictor(bundle, settings, options, is_strict=flags.strict) as predictor,
    ):
        writer = open_writer(plan, reader, predictor.asking.columns)
        if not plan.is_resumable:
            return to_stream(plan, reader, writer, predictor)
        if flags.restart:
            restart(plan.file)
        model = model_digest(bundle, predictor, settings.intra_op_threads)
        asked = identity(plan, model, predictor, options)
        return to_file(plan, reader, writer, predictor, asked)


def to_stream(plan: Plan, reader: Reader, writer: Writer, predictor: Predictor) -> int:
    """Predict, and write to standard output, or to what is no regular file."""
    with open(1 if plan.output is None else plan.output, "wb", closefd=plan.output is not None) as stream:
        progress, sink = Progress(sys.stderr, is_among_rows=stream.isatty()), Stream(stream)
        with cleared(progress):
            sink.append(writer.begin(), START, 0, 0)
            predict_rows(reader, writer, predictor, sink, progress)
    return end(progress, "standard output" if plan.output is None else str(plan.output))


def to_file(plan: Plan, reader: Reader, writer: Writer, predictor: Predictor, asked: dict[str, str]) -> int:
    """Predict, and write to a file that appears when it is whole."""
    with Partial(plan.file, asked) as partial:
        progress = Progress(sys.stderr, partial.state.rows, partial.state.bad)
        if progress.rows:
            sys.stderr.write(f"going on after {progress.rows:,} rows\n")
        try:
            with cleared(progress):
                finish_file(plan, reader, writer, predictor, partial, progress)
        except Interrupted:
            kept = f"{partial.state.rows:,} rows are kept in {partial.folder}"
            sys.stderr.write(f"interrupted: {kept}; the same command goes on after them\n")
            raise
    return end(progress, str(plan.file))


def end(progress: Progress, place: str) -> int:
    """Say what was written, and return the exit code."""
    errors = f"{progress.bad:,} with an error" if progress.bad else "none with an error"
    progress.end(f"{progress.rows:,} rows written to {place}, {errors}")
    if progress.rows and progress.bad == progress.rows:
        complain("no row could be answered; the column of errors says why")
        return FAILED
    return 0


def plan_of(flags: Namespace) -> Plan:
    return Plan(
        inputs=[Path(path) for path in flags.inputs if path != STANDARD],
        output=None if flags.output == STANDARD else Path(flags.output),
        input_format=flags.input_format,
        output_format=flags.output_format,
        text_column=flags.text_column,
        pair_column=flags.pair_column,
        prefix=flags.prefix,
        delimiter={r"\t": "\t", "tab": "\t"}.get(flags.separator, flags.separator),
        encoding=flags.encoding,
    )
