"""The files that vocabularies come in, and how each becomes a tokenizer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allyouneed.errors import UserError, require
from allyouneed.tokenizers.added import AddedToken
from allyouneed.tokenizers.hf import Pretrained
from allyouneed.tokenizers.sentencepiece import SentencePiece
from allyouneed.tokenizers.settings import Settings, read_text

Vocabulary = Pretrained | SentencePiece
Roles = dict[str, str]

_BYTE_LEVEL: Roles = dict.fromkeys(("bos", "eos", "unk"), "<|endoftext|>")
_WORD_PIECES: Roles = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
_BYTE_LEVEL_FAMILIES = ("gpt2", "gpt_neo", "gptj")
_WORD_PIECE_FAMILIES = ("bert", "distilbert", "electra")


@dataclass(frozen=True)
class Format:
    """`files` that are a vocabulary together, read by `read(paths, settings)`, which gives also the special token of
    every role. The files alone do not say how a text is cut: of other `families` (none named: any) they would give
    other ids than the model was trained with."""

    files: tuple[str, ...]
    families: tuple[str, ...]
    read: Callable[[list[Path], Settings], tuple[Vocabulary, Roles]]

    @property
    def title(self) -> str:
        return " with ".join(self.files)


def _whole(paths: list[Path], settings: Settings) -> tuple[Vocabulary, Roles]:
    """tokenizer.json describes all but the roles, and GPT-2's and BERT's own folders say nowhere what those are."""
    usual = dict.fromkeys(_BYTE_LEVEL_FAMILIES, _BYTE_LEVEL) | dict.fromkeys(_WORD_PIECE_FAMILIES, _WORD_PIECES)
    roles = settings.roles(usual.get(settings.family, {}))
    return Pretrained(read_text(paths[0]), settings.added(roles)), roles


def _byte_level(paths: list[Path], settings: Settings) -> tuple[Vocabulary, Roles]:
    """GPT-2's byte pair encoding: bytes as printable characters, text cut by GPT-2's pattern before it is merged."""
    package, config, roles = require("tokenizers", "tokenizers"), settings.config, settings.roles(_BYTE_LEVEL)
    tokenizer = package.Tokenizer(package.models.BPE.from_file(*map(str, paths)))
    space = bool(config.get("add_prefix_space"))
    tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=space)
    tokenizer.decoder = package.decoders.ByteLevel()
    before, after = _asked_for(settings, roles, bos=False, eos=False)
    tokenizer.post_processor = _around(tokenizer, before, after)
    return Pretrained(tokenizer.to_str(), settings.added(roles)), roles


def _word_pieces(paths: list[Path], settings: Settings) -> tuple[Vocabulary, Roles]:
    """BERT's: words and punctuation apart, lower case without accents if so trained, then the longest piece first."""
    package, config, roles = require("tokenizers", "tokenizers"), settings.config, settings.roles(_WORD_PIECES)
    lines = read_text(paths[0]).removesuffix("\n").split("\n")
    pieces = {line: i for i, line in enumerate(lines)}
    tokenizer = package.Tokenizer(package.models.WordPiece(pieces, unk_token=roles["unk"]))
    tokenizer.normalizer = package.normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=config.get("tokenize_chinese_chars", True),
        strip_accents=config.get("strip_accents"),
        lowercase=config.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = package.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = package.decoders.WordPiece(prefix="##")
    tokenizer.post_processor = _around(tokenizer, [roles["cls"]], [roles["sep"]])
    return Pretrained(tokenizer.to_str(), settings.added(roles)), roles


def _llama_pieces(paths: list[Path], settings: Settings) -> tuple[Vocabulary, Roles]:
    """A text begins with <s> unless the settings say otherwise."""
    model, bare = _model(paths[0])
    roles = settings.roles(bare.roles)
    before, after = _asked_for(settings, roles, bos=True, eos=False)
    spaced_parts = bool(settings.config.get("legacy"))
    return SentencePiece(model, settings.added(roles), before, after, spaced_parts), roles


def _t5_pieces(paths: list[Path], settings: Settings) -> tuple[Vocabulary, Roles]:
    """A text ends in </s>. The sentinels follow the pieces, the last one first; each part between them begins with a
    space."""
    model, bare = _model(paths[0])
    roles = settings.roles(bare.roles)
    count = settings.config.get("extra_ids", 100)
    sentinels = [AddedToken(f"<extra_id_{i}>", bare.n_pieces + count - 1 - i) for i in range(count)]
    added = [*sentinels, *settings.added(roles)]
    return SentencePiece(model, added, after=[roles["eos"]], spaced_parts=True), roles


def _model(path: Path) -> tuple[bytes, SentencePiece]:
    """The content of the file, and its pieces alone."""
    content = path.read_bytes()
    return content, SentencePiece(content, spaced_parts=True)


def _asked_for(settings: Settings, roles: Roles, *, bos: bool, eos: bool) -> tuple[list[str], list[str]]:
    """The tokens before and after a text by `add_bos_token` and `add_eos_token`, whose defaults are given."""
    add = {role: settings.config.get(f"add_{role}_token", usual) for role, usual in {"bos": bos, "eos": eos}.items()}
    before, after = ([roles[role]] if wanted and role in roles else [] for role, wanted in add.items())
    return before, after


def _around(tokenizer: Any, before: list[str], after: list[str]) -> Any:
    """The post-processor that puts these tokens before and after a text."""
    ids = [(name, tokenizer.token_to_id(name)) for name in (*before, *after)]
    for name, i in ids:
        if i is None:
            raise UserError(f"the vocabulary has no token {name!r}")
    processors = require("tokenizers", "tokenizers").processors
    return processors.TemplateProcessing(single=[*before, "$A", *after], special_tokens=ids)


FORMATS = (
    Format(("tokenizer.json",), (), _whole),
    Format(("vocab.json", "merges.txt"), _BYTE_LEVEL_FAMILIES, _byte_level),
    Format(("encoder.json", "vocab.bpe"), _BYTE_LEVEL_FAMILIES, _byte_level),
    Format(("vocab.txt",), _WORD_PIECE_FAMILIES, _word_pieces),
    Format(("tokenizer.model",), ("llama", "mistral", "mixtral", "gemma"), _llama_pieces),
    Format(("spiece.model",), ("t5", "mt5"), _t5_pieces),
)
