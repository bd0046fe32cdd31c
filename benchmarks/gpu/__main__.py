"""What a device does with RoBERTa: time against tokens, use of its arithmetic, packed against padded, HTTP.

    python -m benchmarks.gpu --model base --device cuda --out gpu.json

The same runs on a CPU with `--device cpu`, over fewer tokens. Prints Markdown; `--out` keeps the figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from app.bundle import Precision
from app.runtime.cuda.opening import open_on
from app.runtime.session import Device, Session, open_session, session_options
from app.settings import Settings, available_cores
from app.window import Window
from benchmarks.gpu.http import Row, measure_http
from benchmarks.gpu.models import SHAPES, forward_flops, make_random_bundles
from benchmarks.tables import table
from training.encoders.loading import load_checkpoint
from training.export.verify import answers_of

PRECISIONS: dict[Device, tuple[Precision, ...]] = {"cuda": ("fp16", "fp32"), "cpu": ("fp32",)}
TOKENS: dict[Device, tuple[int, ...]] = {"cuda": tuple(2**n for n in range(7, 16)), "cpu": (128, 256, 512, 1024)}
CEILING_SIZE: dict[Device, int] = {"cuda": 8192, "cpu": 1024}  # rows and columns of the matrices of the ceiling
LENGTHS = (8, 129)  # tokens in a window, drawn evenly: more than half of a padded batch is then padding
PRODUCTS = 8  # in the ceiling's graph, so that starting it is a small share
CORRECTNESS_LENGTHS = ((1, 3, 512), (5,) * 32, (16, 300, 2, 64), tuple(range(1, 65)))


def draw_windows(tokens: int, generator: np.random.Generator) -> list[Window]:
    """Return windows of mixed lengths with `tokens` tokens in all."""
    lengths: list[int] = []
    while (left := tokens - sum(lengths)) > 0:
        lengths.append(min(left, int(generator.integers(*LENGTHS))))
    return make_windows(lengths, generator)


def make_windows(lengths: Sequence[int], generator: np.random.Generator) -> list[Window]:
    return [Window(generator.integers(5, 250, n), np.zeros(1, np.int64)) for n in lengths]


def median_s(run: Callable[[], object], seconds: float) -> float:
    """Run for about `seconds` after two runs that do not count; return the median of one."""
    for _ in range(2):
        run()
    durations: list[float] = []
    while sum(durations) < seconds or len(durations) < 3:
        started = time.perf_counter()
        run()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations)


def saturated_s(session: Session, windows: Sequence[Window], runners: int, seconds: float) -> float:
    """Keep every runner busy with the same batch for about `seconds`, as a service under load does.

    Return the time between two batches' ends, whichever runner's they are.
    """
    started, end = time.perf_counter(), time.perf_counter() + seconds

    def keep_running(runner: int) -> int:
        batches = 0
        while batches < 2 or time.perf_counter() < end:
            session.run(windows, runner=runner)
            batches += 1
        return batches

    with ThreadPoolExecutor(runners) as pool:
        batches = sum(pool.map(keep_running, range(runners)))
    return (time.perf_counter() - started) / batches


def measure_ceiling(device: Device, precision: Precision, seconds: float) -> float:
    """Return the FLOP/s of square matrix products in onnxruntime, inputs and outputs on the device."""
    size, dtype = CEILING_SIZE[device], np.float16 if precision == "fp16" else np.float32
    kind = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.FLOAT
    weight = (np.random.default_rng(0).standard_normal((size, size)) / np.sqrt(size)).astype(dtype)
    nodes = [helper.make_node("MatMul", [f"x{i}", "weight"], [f"x{i + 1}"]) for i in range(PRODUCTS)]
    ends = [helper.make_tensor_value_info(name, kind, [size, size]) for name in ("x0", f"x{PRODUCTS}")]
    graph = helper.make_graph(nodes, "ceiling", ends[:1], ends[1:], [numpy_helper.from_array(weight, "weight")])
    opsets = [helper.make_opsetid("", 20)]
    serialized = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    if device == "cuda":
        session = open_on(serialized, 0, None)
    else:
        session = ort.InferenceSession(serialized, session_options(available_cores()), ["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_ortvalue_input("x0", ort.OrtValue.ortvalue_from_numpy(weight, device, 0))
    binding.bind_output(f"x{PRODUCTS}", device, 0)
    return 2 * PRODUCTS * size**3 / median_s(lambda: session.run_with_iobinding(binding), seconds)


def measure_forward(
    session: Session, shape: str, device: Device, runners: int, ceiling: float, seconds: float
) -> list[Row]:
    """Time batches of more and more tokens, arrays and copies included, and the same batch padded to its longest.

    `ms` is of one batch at a time; rates are those of all runners at once.
    """
    rows = []
    for tokens in TOKENS[device]:
        windows = draw_windows(tokens, np.random.default_rng(tokens))
        lengths = [len(w) for w in windows]
        padded = make_windows([max(lengths)] * len(lengths), np.random.default_rng(tokens))
        taken = median_s(lambda windows=windows: session.run(windows), seconds)
        taken_padded = median_s(lambda padded=padded: session.run(padded), seconds)
        between = saturated_s(session, windows, runners, seconds)
        flops = forward_flops(shape, lengths) / between
        rows.append(
            {
                "tokens": tokens,
                "texts": len(windows),
                "ms": 1000 * taken,
                "tokens_per_s": tokens / between,
                "texts_per_s": len(windows) / between,
                "tflops": flops / 1e12,
                "share_of_ceiling": flops / ceiling,
                "padded_ms": 1000 * taken_padded,
                "packed_is_faster_by": taken_padded / taken,
            }
        )
    return rows


def measure_correctness(session: Session, checkpoint: Path) -> Row:
    """Return the greatest difference of a logit from PyTorch in fp32 on the CPU, over many mixes of lengths."""
    model, generator = load_checkpoint(str(checkpoint)), np.random.default_rng(1)
    greatest, largest = 0.0, 0.0
    for lengths in CORRECTNESS_LENGTHS:
        windows = make_windows(lengths, generator)
        answers = answers_of(model, windows, lambda output, _: list(output.logits.numpy()[:, None]))
        for answered, expected in zip(session.run(windows), answers, strict=True):
            greatest = max(greatest, float(np.abs(answered - expected).max()))
            largest = max(largest, float(np.abs(expected).max()))
    return {"greatest_difference": greatest, "largest_logit": largest}


def describe() -> str:
    """One sentence: processors and versions."""
    found = ["no GPU"]
    with suppress(Exception):  # no nvidia-ml-py, no driver or no device: all mean that there is no GPU to name
        import pynvml

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        found = [f"{pynvml.nvmlDeviceGetName(h)}, driver {pynvml.nvmlSystemGetDriverVersion()}" for h in handles]
    try:
        runtime = f"onnxruntime-gpu {version('onnxruntime-gpu')}"
    except PackageNotFoundError:
        runtime = f"onnxruntime {version('onnxruntime')}"
    return f"{'; '.join(found)}; {available_cores()} cores, Python {platform.python_version()}, {runtime}."


def render(result: Row) -> str:
    parts = [f"## roberta-{result['model']} on {result['device']}", result["machine"]]
    for precision, found in result["precisions"].items():
        correct = found["correctness"]
        parts.append(
            f"### {precision}\n\nThe device multiplies {found['ceiling_tflops']:.2f} TFLOP/s. Logits differ from "
            f"PyTorch fp32 by {correct['greatest_difference']:.2g} at most; "
            f"the largest is {correct['largest_logit']:.2g}."
        )
        parts += (
            [rows_table(found["forward"]), rows_table(found["http"])]
            if found["http"]
            else [rows_table(found["forward"])]
        )
    return "\n\n".join(parts)


def rows_table(rows: Sequence[Row]) -> str:
    return table([name.replace("_", " ") for name in rows[0]], [[number(v) for v in row.values()] for row in rows])


def number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def measure(options: argparse.Namespace, folder: Path) -> Row:
    device: Device = options.device
    precisions: Sequence[Precision] = options.precision or PRECISIONS[device]
    checkpoint, bundles = make_random_bundles(options.model, precisions, folder)
    result: Row = {"model": options.model, "device": device, "machine": describe(), "precisions": {}}
    settings = Settings(device=device, intra_op_threads=available_cores(), cuda_graphs=options.cuda_graphs)
    runners = settings.runners_on(device) if device == "cuda" else 1  # on a CPU, one batch uses every core
    for precision, bundle in bundles.items():
        ceiling = measure_ceiling(device, precision, options.seconds)
        session = open_session(bundle, device, settings)
        session.prepare(None)
        result["precisions"][precision] = {
            "ceiling_tflops": ceiling / 1e12,
            "correctness": measure_correctness(session, checkpoint),
            "forward": measure_forward(session, options.model, device, runners, ceiling, options.seconds),
        }
        del session  # its memory, before the server asks for its own
        http_s = max(1, round(options.seconds))
        flags = ["--http-workers", str(options.http_workers)]
        flags += [] if options.cuda_graphs else ["--no-cuda-graphs"]
        found = measure_http(bundle, checkpoint, device, flags, http_s, folder) if options.http else []
        result["precisions"][precision]["http"] = found
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=SHAPES, default="base", help="shape of the randomly initialized model")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--precision", choices=PRECISIONS["cuda"], nargs="+", help="default: all that the device has")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement")
    parser.add_argument("--no-http", dest="http", action="store_false", help="leave the server out")
    parser.add_argument("--http-workers", type=int, default=1, help="processes that speak HTTP")
    parser.add_argument(
        "--no-cuda-graphs", dest="cuda_graphs", action="store_false", help="run small batches, do not replay them"
    )
    parser.add_argument("--work", type=Path, help="keep the bundles here and use them again; else a temporary folder")
    parser.add_argument("--out", type=Path, help="write the figures to this file as JSON")
    options = parser.parse_args()
    with nullcontext(options.work) if options.work else tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        result = measure(options, work)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(render(result) + "\n")


if __name__ == "__main__":
    main()
