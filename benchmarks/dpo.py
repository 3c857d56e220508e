"""A training step of DPO against trl's DPOTrainer, the reference being a second forward pass and made beforehand.

    python benchmarks/dpo.py

A llama of 4 layers and d_model 256, the same weights; 8 pairs of 192 tokens a step, half of them prompt; AdamW in
float32 on one thread. A round is a few steps of training by `fit` and by `DPOTrainer.train`, each begun anew. Equal
losses at the first step are checked.
"""

import logging
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from _side_by_side import Rounds, alternate, conditions, table, write
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

import allyouneed as ayn
from allyouneed.alignment import LOSSES, OtherModel, logprobs_of
from allyouneed.data.preferences.batches import encode_preferences
from allyouneed.training import fit
from tokenizers import Tokenizer, models, pre_tokenizers

VOCAB, PAIRS, PROMPT, ANSWER, STEPS, ROUNDS, LR, BETA = 4096, 8, 96, 95, 4, 5, 1e-5, 0.1
END = 1


def words() -> Any:
    """A tokenizer of one word a token."""
    table = {f"w{i}": i for i in range(2, VOCAB)} | {"<pad>": 0, "<end>": END}
    tokenizer = Tokenizer(models.WordLevel(table, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<pad>", "<end>"])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<pad>")


def texts() -> list[tuple[list[int], list[int], list[int]]]:
    random = np.random.default_rng(0)
    lengths = (PROMPT, ANSWER, ANSWER)
    return [tuple(random.integers(2, VOCAB, n).tolist() for n in lengths) for _ in range(PAIRS)]  # type: ignore[misc]


def trainer(folder: Path, out: str, tokenizer: Any, beforehand: bool) -> DPOTrainer:
    def said(tokens: list[int]) -> str:
        return " ".join(f"w{token}" for token in tokens)

    rows = [{"prompt": said(p), "chosen": f" {said(c)} <end>", "rejected": f" {said(r)} <end>"} for p, c, r in texts()]
    config = DPOConfig(
        output_dir=out,
        beta=BETA,
        per_device_train_batch_size=PAIRS,
        max_steps=STEPS,
        learning_rate=LR,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        precompute_ref_log_probs=beforehand,
        max_length=None,
        report_to=[],
        save_strategy="no",
        logging_steps=1000,
        logging_first_step=True,
        disable_tqdm=True,
    )
    load = transformers.AutoModelForCausalLM.from_pretrained
    return DPOTrainer(
        load(folder),
        ref_model=load(folder),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )


def main() -> None:
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    sizes = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "num_attention_heads": 4}
    config = transformers.LlamaConfig(vocab_size=VOCAB, max_position_embeddings=256, **sizes)
    tokenizer = words()
    judged = [False] * PROMPT + [True] * (ANSWER + 1)
    data = encode_preferences([(([*p, *c, END], judged), ([*p, *r, END], judged)) for p, c, r in texts()])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
        reference = ayn.load(folder, device="cpu")
        known = data.with_reference(logprobs_of(reference, data.batches(PAIRS)))
        objective = LOSSES["sigmoid"](BETA)

        def ours(beforehand: bool) -> Iterator[Callable[[], float]]:
            loss = objective if beforehand else replace(objective, reference=OtherModel(reference))
            stream = (known if beforehand else data).stream
            models = [ayn.load(folder, device="cpu") for _ in range(ROUNDS + 2)]
            return (lambda m=m: fit(m, loss, stream(PAIRS, 0), max_steps=STEPS, lr=LR).log[0]["loss"] for m in models)

        def theirs(beforehand: bool) -> Iterator[Callable[[], float]]:
            made = [trainer(folder, f"{name}/out", tokenizer, beforehand) for _ in range(ROUNDS + 2)]
            return ((lambda t=t: t.train() and float(t.state.log_history[0]["loss"])) for t in made)

        def compared(beforehand: bool) -> Rounds:
            sides = {"ours": ours(beforehand), "trl": theirs(beforehand)}
            for side, runs in sides.items():
                apart = abs(next(runs)() - math.log(2))
                assert apart < 1e-5, f"at the reference the loss is log 2, and that of {side} is {apart} from it"
            return alternate({side: (lambda runs=runs: next(runs)()) for side, runs in sides.items()}, ROUNDS)

        two, one = compared(False), compared(True)
    write(
        "dpo",
        f"# A training step of DPO, beside trl {__import__('trl').__version__}\n\n"
        f"With a reference model beside the policy:\n\n{table(two, 'trl', STEPS * PAIRS, 'pairs')}\n\n"
        f"With the reference made beforehand:\n\n{table(one, 'trl', STEPS * PAIRS, 'pairs')}\n\n"
        f"{PAIRS} pairs of {PROMPT + ANSWER + 1} tokens, {STEPS} steps a round, on models and trainers made before.\n"
        f"{conditions(one)}",
    )


if __name__ == "__main__":
    main()
