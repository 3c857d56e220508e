"""The rules of the house that a linter does not hold."""

import ast
import importlib
import importlib.util
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import allyouneed
from allyouneed.lab import papers

SOURCE = Path(allyouneed.__file__).parent
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(allyouneed.__path__, "allyouneed.")
    if not module.name.endswith("__main__")
)
SLUGS = [notes.slug for notes in papers.all_papers()]
REQUIRED = {"title", "authors", "year", "arxiv", "theme", "tagline", "home"}


def test_every_module_imports_with_only_the_required_dependencies():
    extras = ["numba", "sklearn", "sentencepiece", "tokenizers", "transformers", "huggingface_hub"]
    extras += ["PIL", "openai", "faiss", "num2words", "babel", "sacrebleu"]
    extras += ["beartype", "hypothesis", "pytest", "peft", "trl", "diffusers", "datasets", "accelerate", "pandas"]
    program = "import sys, importlib\n"
    program += f"for name in {extras}: sys.modules[name] = None\n"
    program += f"for name in {MODULES}: importlib.import_module(name)\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


CODE_IN_DATA = ["pickle.", "import pickle", "torch.save", "torch.load", "joblib", "shelve", " eval(", " exec("]


@pytest.mark.parametrize("name", CODE_IN_DATA)
def test_nothing_is_pickled_or_evaluated(name):
    users = [p for p in SOURCE.rglob("*.py") if any(name in line for line in _code_lines(p))]
    assert [str(p.relative_to(SOURCE)) for p in users] == []


def _code_lines(path):
    """The file without comments and docstrings; `model.eval()` is not `eval(`."""
    text = ast.unparse(ast.parse(path.read_text()))
    return [
        line for line in text.replace(".eval(", ".mode(").replace("exec_module(", "").splitlines() if '"""' not in line
    ]


@pytest.mark.parametrize("slug", SLUGS)
def test_front_matter_is_complete_and_its_homes_exist(slug):
    notes = papers.find(slug)
    for name in REQUIRED:
        assert getattr(notes, name) not in (None, ""), name
    for home in [notes.home, *notes.also]:
        assert importlib.util.find_spec(home) is not None, home


@pytest.mark.parametrize("slug", SLUGS)
def test_a_complete_paper_answers_its_tagline_and_its_notes_open_with_that(slug):
    notes = papers.find(slug)
    if notes.status == "complete":
        assert re.search(r"\b(is|are) all you need$", notes.tagline)
        assert notes.answer
        opening = rf"---\n.*?\n---\n<!-- answer:{slug}:start -->\n.*?\n<!-- answer:{slug}:end -->\n+## Idea\n"
        assert re.match(opening, notes.file.read_text(), re.DOTALL)


@pytest.mark.parametrize("slug", SLUGS)
def test_every_paper_is_on_the_reading_list(slug):
    assert slug in papers.all_items()


@pytest.mark.parametrize("slug", SLUGS)
def test_a_papers_folder_holds_notes_and_study_and_nothing_else(slug):
    files = {p.name for p in (SOURCE / "papers" / slug).iterdir() if p.name != "__pycache__"}
    assert files == {"notes.md", "study.py"}


@pytest.mark.parametrize("slug", SLUGS)
def test_notes_have_their_sections(slug):
    text = (SOURCE / "papers" / slug / "notes.md").read_text()
    for section in ("Idea", "How it works", "Details people get wrong", "What we measured", "Limits", "Use it"):
        assert f"\n## {section}" in text, section


@pytest.mark.parametrize("name", [m for m in MODULES if not m.startswith("allyouneed.papers.")])
def test_every_module_says_what_lives_in_it(name):
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    assert ast.get_docstring(ast.parse(Path(spec.origin).read_text())), name


def test_the_root_names_what_its_type_checking_block_names():
    tree = ast.parse(Path(allyouneed.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == set(allyouneed.__all__)
    for name in allyouneed.__all__:
        assert getattr(allyouneed, name) is not None
