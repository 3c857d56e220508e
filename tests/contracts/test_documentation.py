"""The documentation is executed: every command and every listing of README and notes, at smoke scale."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from allyouneed.blocks import RMSNorm, Rope, SwiGLU
from allyouneed.lab import papers
from allyouneed.lab.engine import run_study
from allyouneed.lab.options import Options
from allyouneed.lab.reports import records
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.models.hub import save
from allyouneed.tokenizers.subwords import train_subwords

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
NOTES = {notes.slug: (papers.FOLDER / notes.slug / "notes.md").read_text() for notes in papers.all_papers()}


def commands(text: str) -> list[str]:
    """The lines of a document that call the program, without comments."""
    lines = re.findall(r"^(?:\$ |    )(allyouneed .*)$", text, re.MULTILINE)
    return [line.split("  #")[0].strip() for line in lines]


def listings(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder with the files that the README shows, and some text of their own."""
    folder = tmp_path_factory.mktemp("user")
    for name, text in re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", README, re.DOTALL):
        (folder / name).write_text(text)
    (folder / "my_text").mkdir()
    for number in range(60):
        words = " ".join(f"line {number} of {i}: the quick brown fox\n" for i in range(200))
        (folder / "my_text" / f"{number}.txt").write_text(words)
    pairs = [f"the number {number} is here\thier ist die Zahl {number}\n" for number in range(2000)]
    (folder / "my_pairs.tsv").write_text("".join(pairs))
    write_checkpoint(folder / "my_model")
    write_pictures(folder / "my_pictures")
    write_logs(folder / "my_logs.jsonl")
    write_conversations(folder / "chat.jsonl", folder / "my_preferences.jsonl")
    write_documents(folder / "docs", folder / "q.jsonl")
    return folder


def write_lines(path: Path, lines: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_conversations(chats: Path, preferences: Path) -> None:
    """Questions with an answer, and with a better and a worse one."""
    asked = [(f"what is {n}?", f"{n} is {'even' if n % 2 == 0 else 'odd'}") for n in range(200)]
    write_lines(chats, [{"prompt": question, "completion": answer} for question, answer in asked])
    write_lines(preferences, [{"prompt": q, "chosen": answer, "rejected": "who knows"} for q, answer in asked])


def write_documents(folder: Path, queries: Path) -> None:
    """Short guides, and which of them answers a question."""
    folder.mkdir()
    topics = ["run", "mixer", "norm", "index", "patch", "schedule", "reward", "adapter"]
    for n in range(40):
        topic = topics[n % 8]
        text = f"# Guide {n}\n\nHow do I resume the {topic} number {n}? Call {topic} again in folder {n}.\n"
        (folder / f"guide{n}.md").write_text(text)
    asked = [{"query": f"resume {topics[n % 8]} number {n}", "relevant": [f"guide{n}.md"]} for n in range(40)]
    write_lines(queries, asked)


def write_logs(path: Path) -> None:
    """What a small and a large model answered to the same questions."""
    lines: list[dict[str, object]] = []
    for number in range(200):
        small = {"text": "yes", "cost": 0.001, "correct": number % 2 == 0}
        large = {"text": "it is", "cost": 0.002, "correct": number % 20 != 0}
        lines.append({"query": f"is {number} even?", "answers": {"small": small, "large": large}})
    write_lines(path, lines)


def write_pictures(folder: Path) -> None:
    """Dark and light pictures of 8 x 8 pixels, in class folders."""
    random = np.random.default_rng(0)
    for number in range(80):
        kind = ("cat", "dog")[number % 2]
        (folder / kind).mkdir(parents=True, exist_ok=True)
        pixels = random.integers(100, size=(8, 8, 3), dtype=np.uint8) + 100 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / kind / f"{number // 2}.png")


def write_checkpoint(folder: Path) -> None:
    """A model of the user's own: small, untrained, with a tokenizer and a chat template."""
    texts = ["Once upon a time the sky is blue, or made of cheese. What is a mixer?"]
    tokenizer = train_subwords(texts, 60, special=("<end>",))
    sizes = {"d_model": 32, "n_layers": 2, "max_seq_len": 256}
    blocks = {"positions": Rope(), "norm": RMSNorm(), "feedforward": SwiGLU()}
    save(Decoder(DecoderConfig(vocab_size=tokenizer.vocab_size, **sizes, **blocks)), folder)
    (folder / "tokenizer.json").write_text(tokenizer.to_dict()["description"])
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<end>", "chat_template": template}))


STAND_INS = {
    "tinyshakespeare": "my_text",
    "multi30k": "my_pairs.tsv",
    "mnist": "my_pictures",
    "sst2": "chat.jsonl",
}  # for public data, which no test fetches: the user's own of the same kind


@pytest.mark.parametrize(
    ("text", "command"), [(text, command) for text in (README, *NOTES.values()) for command in commands(text)]
)
def test_every_command_does_what_it_says(text, command, folder):
    words = shlex.split(command)[1:]
    make_what_it_reads(text, command, folder)
    words = [STAND_INS.get(word, word) for word in words]
    if words[0] in ("run", "replicate"):
        words += ["--scale", "smoke"]
    if words[0] == "replicate":
        record_at_smoke(words[1], folder)
    if words[0] == "report" and not list(folder.glob("runs/rope-*")):
        call(["run", "rope", "--scale", "smoke", "--claims", "C1"], folder)
    call(words, folder)


def make_what_it_reads(text: str, command: str, folder: Path) -> None:
    """Run the commands before this one in the document that write what it names."""
    before = commands(text)[: commands(text).index(command)]
    for earlier in before:
        words = shlex.split(earlier)[1:]
        made = words[words.index("--out") + 1] if "--out" in words else None
        if made in shlex.split(command) and not (folder / made).exists():
            call(words, folder)


def record_at_smoke(study: str, folder: Path) -> None:
    """A record in the user's own results/; `run --record` would write a paper's into this checkout."""
    outcome = run_study(Options(study, scale="smoke", out=folder / "runs"))
    records.record(outcome, None, folder / "results")


def call(words: list[str], folder: Path) -> None:
    environment = os.environ | {"ALLYOUNEED_DATA": "", "BROWSER": "true"}
    done = subprocess.run(
        [sys.executable, "-m", "allyouneed", *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize("text", [README, *NOTES.values()], ids=["README", *NOTES])
def test_every_listing_runs(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_checkpoint(tmp_path / "my_model")
    for listing in listings(text):
        exec(compile(listing, "listing", "exec"), {"__name__": "listing"})


def test_relative_links_lead_somewhere():
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
