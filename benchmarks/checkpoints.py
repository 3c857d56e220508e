"""Loading and saving a checkpoint of 0.5 billion random weights: seconds, and the peak memory of a fresh process.

    python benchmarks/checkpoints.py

Llama's shape, float32 (2 GB), in one file and in several. Each measurement is a process of its own that imports first
and is measured from there on; the file system's cache is warm, as every file was just written or read. The limit of
memory is one copy of the weights, and one file more.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _side_by_side import spread, write

from allyouneed.lab.trials.machine import machine

ROUNDS = 5


def resident(key: str) -> float:
    """This process's memory in MiB: now (VmRSS), or at its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def measure(what: str, folder: str) -> None:
    """In a process of its own: do one thing, and print its seconds and what memory it added at the peak."""
    import torch
    from transformers import AutoModelForCausalLM

    import allyouneed as ayn

    jobs = {
        "ours": lambda: ayn.load(folder, device="cpu"),
        "transformers": lambda: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
    }
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here; a process inherits its parent's
    before = resident("VmRSS")
    begin = time.perf_counter()
    model = jobs[what.removesuffix(", saving")]()
    seconds = time.perf_counter() - begin
    if what.endswith("saving"):
        with tempfile.TemporaryDirectory() as target:
            begin = time.perf_counter()
            ayn.save(model, target, shard_size=500 << 20) if what.startswith("ours") else model.save_pretrained(target)
            seconds = time.perf_counter() - begin
    peak = resident("VmHWM") - before
    size = sum(p.nbytes for p in model.parameters()) / 2**20
    print(json.dumps({"seconds": seconds, "peak": peak / size}))


def rows(contenders: list[str], folder: Path) -> list[str]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for index in range(ROUNDS):
        for name in contenders[index % len(contenders) :] + contenders[: index % len(contenders)]:
            words = [sys.executable, __file__, name, str(folder)]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    lines = []
    for name, runs in found.items():
        seconds, peaks = [run["seconds"] for run in runs], [run["peak"] for run in runs]
        lines.append(f"| {name} | {spread(seconds, '.2f')} | {spread(peaks, '.2f')} |")
    return lines


def main() -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(hidden_size=1280, intermediate_size=3456, num_hidden_layers=21, num_attention_heads=20)
    torch.manual_seed(0)
    lines = ["| | seconds, median (range) | peak over the weights' size, median (range) |", "| --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as folder:
        one, several = Path(folder, "one"), Path(folder, "several")
        model = LlamaForCausalLM(config)
        model.save_pretrained(one)
        model.save_pretrained(several, max_shard_size="500MB")
        n_weights = sum(p.numel() for p in model.parameters())
        del model
        for where in (one, several):
            lines += [
                line.replace("| ", f"| load, {where.name} file{'s' * (where is several)}: ", 1)
                for line in rows(["transformers", "ours"], where)
            ]
        lines += rows(["transformers, saving", "ours, saving"], one)
    facts = "; ".join(f"{name}: {value}" for name, value in machine().items())
    write(
        "checkpoints",
        f"# A checkpoint of {n_weights / 1e6:.0f} million weights in float32\n\n"
        + "\n".join(lines)
        + f"\n\n{ROUNDS} fresh processes each, by turns. {facts}.",
    )


if __name__ == "__main__":
    measure(*sys.argv[1:]) if len(sys.argv) > 1 else main()
