"""A folder with a checkpoint's tokenizer files, read and copied."""

from pathlib import Path

from allyouneed.errors import MissingExtra, UserError
from allyouneed.tokenizers.checkpoint import CheckpointTokenizer
from allyouneed.tokenizers.formats import FORMATS, Format
from allyouneed.tokenizers.settings import FILES, Settings

_TITLES = "; ".join(form.title for form in FORMATS)


def load(path: Path) -> CheckpointTokenizer:
    """The tokenizer of the checkpoint in a folder: the first of these that is there, with what the JSON files beside
    it say: tokenizer.json; vocab.json with merges.txt, or encoder.json with vocab.bpe (GPT-2); vocab.txt (BERT);
    tokenizer.model (Llama 2, Mistral); spiece.model (T5).

    Raises UserError if none is there, a file is damaged, or the files do not say how its family cuts a text;
    MissingExtra if the package that reads it is not installed.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")
    settings = Settings.read(folder)
    found = _format(folder, settings.family)
    try:
        vocabulary, roles = found.read([folder / name for name in found.files], settings)
        templates = settings.chat_templates()
    except MissingExtra:
        raise
    except Exception as error:  # damaged files fail in many ways, in the packages as bare Exception
        raise UserError(f"cannot read the tokenizer in {folder} ({found.title}): {error}") from error
    ids = {role: vocabulary.index(name) for role, name in roles.items()}
    special_tokens = {role: i for role, i in ids.items() if i is not None}
    ends = [special_tokens["eos"]] if "eos" in special_tokens else []
    eos_ids = tuple(dict.fromkeys([*ends, *settings.ends]))
    return CheckpointTokenizer(vocabulary, special_tokens, eos_ids, templates, str(folder))


def _format(folder: Path, family: str) -> Format:
    there = [form for form in FORMATS if all((folder / name).is_file() for name in form.files)]
    if not there:
        raise UserError(f"there is no tokenizer in {folder}: looked for {_TITLES}")
    for form in there:
        if not form.families or not family or family in form.families:
            return form
    raise UserError(
        f"{folder} has {there[0].title} of the family {family!r}, which do not say how it cuts a text: "
        "load and save it once with transformers' AutoTokenizer, which adds the tokenizer.json that says so"
    )


def files(folder: Path) -> list[Path]:
    """The tokenizer's files in a folder."""
    patterns = dict.fromkeys([*(name for form in FORMATS for name in form.files), *FILES])
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def copy(source: Path, target: Path) -> list[Path]:
    """Write the tokenizer's files of one folder into another, where they are the same tokenizer, and return them.

    Raises UserError if there are none, or the target cannot be written.
    """
    from allyouneed.data.cache import atomic_write  # `allyouneed.data` imports this package

    found = files(source)
    if not found:
        raise UserError(f"there is no tokenizer in {source}: looked for {_TITLES}")
    copies = [target / path.relative_to(source) for path in found]
    for path, written in zip(found, copies, strict=True):
        atomic_write(written, path.read_bytes())
    return copies
