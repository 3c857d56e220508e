"""A LoRA training step beside peft's, on one GPT-2 in both libraries with equal adapters.

    python benchmarks/lora.py [--d-model 384] [--layers 6] [--rows 4] [--length 128] [--rounds 11]

One thread, float32, rank 8 on queries, keys and values with one A (peft's form of the fused matrix), torch's fused
AdamW. Full fine-tuning of the same model runs by turns with both. Losses after the first step are compared first. Peak
memory is that of a fresh process for each contender.
"""

import argparse
import importlib
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from _side_by_side import alternate, conditions, table, write

PROC = Path("/proc/self")
OURS, PEFT, FULL = "allyouneed, LoRA", "peft, LoRA", "allyouneed, full"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name, value in {"d-model": 384, "layers": 6, "vocab": 8000, "rows": 4, "length": 128, "rounds": 11}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


def checkpoint(folder: Path, given: argparse.Namespace) -> None:
    import transformers as hf

    torch.manual_seed(0)
    config = hf.GPT2Config(
        vocab_size=given.vocab,
        n_embd=given.d_model,
        n_layer=given.layers,
        n_head=6,
        n_positions=given.length,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    config.bos_token_id = config.eos_token_id = None
    hf.GPT2LMHeadModel(config).save_pretrained(folder)


def batch(given: argparse.Namespace) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.randint(given.vocab, (given.rows, given.length + 1), generator=torch.Generator().manual_seed(1))
    return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


def ours(folder: Path, given: argparse.Namespace, full: bool = False) -> Callable[[], float]:
    from allyouneed.adaptation import Lora, add_adapter, fused
    from allyouneed.data.batch import TokenBatch
    from allyouneed.models.hub import load
    from allyouneed.objectives import causal_lm

    model = load(folder, device="cpu")
    if not full:
        add_adapter(model, Lora(rank=8, targets=("*.mixer.q", "*.mixer.k", "*.mixer.v")), share=fused(model))
    tokens = TokenBatch(*batch(given))
    return stepper(model, lambda: causal_lm(model, tokens).mean)


def peft(folder: Path, given: argparse.Namespace) -> Callable[[], float]:
    import transformers as hf
    from peft import LoraConfig, get_peft_model

    base = hf.GPT2LMHeadModel.from_pretrained(folder)
    model = get_peft_model(base, LoraConfig(r=8, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True))
    tokens, targets = batch(given)

    def loss() -> torch.Tensor:
        logits = model(input_ids=tokens).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    return stepper(model, loss)


def stepper(model: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> Callable[[], float]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    model.train()

    def step() -> float:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        return value.item()

    return step


MAKE = {
    OURS: ours,
    PEFT: peft,
    FULL: lambda folder, given: ours(folder, given, full=True),
}


def peak_megabytes(name: str, folder: Path, given: argparse.Namespace, answer: "multiprocessing.Queue[float]") -> None:
    """What building and three steps need beyond what the process had with everything imported."""
    importlib.import_module("peft")  # for all contenders alike
    torch.set_num_threads(1)
    MAKE[name](folder, given)()  # imports, and what torch allocates once
    before = resident()
    (PROC / "clear_refs").write_text("5")
    step = MAKE[name](folder, given)
    for _ in range(3):
        step()
    answer.put((resident("VmHWM") - before) / 1e6)


def resident(field: str = "VmRSS") -> int:
    line = next(line for line in (PROC / "status").read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def peaks(folder: Path, given: argparse.Namespace, repeats: int = 3) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    found: dict[str, list[float]] = {name: [] for name in MAKE}
    for _ in range(repeats):
        for name in MAKE:
            answer = context.Queue()
            process = context.Process(target=peak_megabytes, args=(name, folder, given, answer))
            process.start()
            found[name].append(answer.get())
            process.join()
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    torch.set_num_threads(1)
    given = arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint(folder, given)
        contenders = {label: make(folder, given) for label, make in MAKE.items()}
        first = {label: step() for label, step in contenders.items()}
        # float32 sums in another order
        assert max(first.values()) - min(first.values()) < 1e-4, f"the contenders do not compute the same: {first}"
        rounds = alternate(contenders, given.rounds)
        memory = peaks(folder, given) if PROC.exists() else {}
    lines = [f"| {label} | {size:.0f} MB | {size / memory[PEFT]:.2f} |" for label, size in memory.items()]
    write(
        "lora",
        f"# A LoRA training step beside peft's\n\n{table(rounds, PEFT, 1, 'steps')}\n\n"
        + "\n".join(["| contender | peak memory | times peft, LoRA |", "| --- | --- | --- |", *lines])
        + f"\n\nGPT-2 of width {given.d_model}, {given.layers} layers, {given.vocab} tokens; {given.rows} rows of "
        f"{given.length} tokens; rank 8 on c_attn; one thread, float32. Equal losses checked first "
        f"({first[OURS]:.4f}).\n{conditions(rounds)}",
    )


if __name__ == "__main__":
    main()
