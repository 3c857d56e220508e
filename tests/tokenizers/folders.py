"""Small checkpoints' tokenizer folders, trained on the spot, and the texts that they are compared on."""

import functools
import io
import json

import pytest

TRAINING = [
    "the quick brown fox jumps over the lazy dog, 12345 times",
    "hello world! lower lowest newer newest wide wider widest",
    "grüße aus köln, élève, naïve café",
    "user: hi\n\tassistant: hello there",
    "你好 世界 你好",
] * 20

TEXTS = [
    "",
    "hello world",
    "Hello, WORLD!  it's 1234567 o'clock; they'll've gone",
    "a\r\nb\tc\n\n\n  d \n",
    "x" + " " * 50 + "y",
    "trailing space ",
    "👨‍👩‍👧 🏳️‍🌈 👍🏽 and text",
    "e\u0301le\u0300ve élève naïve Å A\u030a ﬁ",
    "你好，世界。こんにちは 한국어",
    "שלום עולם مرحبا بالعالم",
    "\0\x01\x07\x1b\x7f\x85\xa0\u200b\u2028\u3000\ufeff\ufffd",
    "zero\u200dwidth\u00adsoft",
    "𝒳𝓎 𐍈 \U0010ffff",
    "low" * 40,
    "a▁b ▁",
    "ＦＵＬＬ　ｗｉｄｔｈ ½ ™ İstanbul ẞ",
    "## [UNK] <0x41> Ġ",
    "http://a.b/c?d=e&f#g",
]

SPECIAL_INSIDE = [
    "hello<s>world",
    "<s>hello</s>",
    "a</s></s>b",
    "x<unk>y <s>",
    "<|endoftext|>a<|endoftext|>",
    "[CLS]a[SEP]b",
]


@functools.cache
def byte_level():
    """vocab.json and merges.txt of a byte-level BPE."""
    package = pytest.importorskip("tokenizers")
    tokenizer = package.Tokenizer(package.models.BPE())
    tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = package.trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=sorted(package.pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return json.dumps(model["vocab"]), "#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in model["merges"])


@functools.cache
def word_pieces():
    """vocab.txt of a cased WordPiece vocabulary that has lower case letters too."""
    package = pytest.importorskip("tokenizers")
    tokenizer = package.Tokenizer(package.models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = package.pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = package.trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([*TRAINING, *(t.title() for t in TRAINING), "e l e v e a i u o s n g r c f"], trainer)
    vocabulary = tokenizer.get_vocab()
    return "".join(token + "\n" for token in sorted(vocabulary, key=vocabulary.get))


@functools.cache
def sentence_pieces(**options):
    """The content of a SentencePiece model."""
    package = pytest.importorskip("sentencepiece")
    written = io.BytesIO()
    values = {"vocab_size": 360, "minloglevel": 2, "num_threads": 1, "hard_vocab_limit": False, **options}
    package.SentencePieceTrainer.train(sentence_iterator=iter(TRAINING), model_writer=written, **values)
    return written.getvalue()


def llama_pieces(model_type="bpe"):
    """As Llama's: bytes for what is unknown, no normalization, digits one by one."""
    return sentence_pieces(
        model_type=model_type,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
    )


def t5_pieces():
    """As T5's: NFKC, runs of spaces made one, <pad> </s> <unk> first and no <s>."""
    return sentence_pieces(model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)


def write(folder, **files):
    """Write files, of which `tokenizer_config__json` is tokenizer_config.json; what is no text becomes JSON."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        content = content if isinstance(content, str | bytes) else json.dumps(content)
        path = folder / name.replace("__", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def gpt2_folder(folder, **config):
    vocab, merges = byte_level()
    return write(folder, vocab__json=vocab, merges__txt=merges, tokenizer_config__json=config)


def bert_folder(folder, **config):
    return write(folder, vocab__txt=word_pieces(), tokenizer_config__json=config)


def llama_folder(folder, **config):
    return write(folder, tokenizer__model=llama_pieces(), tokenizer_config__json=config)


def t5_folder(folder, **config):
    return write(folder, spiece__model=t5_pieces(), tokenizer_config__json=config)


def json_folder(folder, **config):
    """A tokenizer.json as chat models have it, that was last used to make batches."""
    package = pytest.importorskip("tokenizers")
    vocab, merges = byte_level()
    pairs = [tuple(line.split()) for line in merges.splitlines()[1:]]
    tokenizer = package.Tokenizer(package.models.BPE(json.loads(vocab), pairs))
    tokenizer.normalizer = package.normalizers.NFC()
    tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = package.decoders.ByteLevel()
    special = [package.AddedToken(text, special=True, rstrip=text == "<|end|>") for text in ("<s>", "</s>", "<|end|>")]
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = package.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9, pad_token="</s>", pad_id=tokenizer.token_to_id("</s>"))
    return write(folder, tokenizer__json=tokenizer.to_str(), tokenizer_config__json=config)
