"""Public data sets: where each file lies and what its bytes must be."""

from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """A file of a data set: its address and a pin of its bytes.

    The pin is `sha256`, or `git_blob`, the id that git gives to a file (sha1 over its length and bytes). `size` is
    in bytes, None where only the pin is known.
    """

    path: str
    url: str
    size: int | None = None
    sha256: str | None = None
    git_blob: str | None = None

    def __post_init__(self) -> None:
        if (self.sha256 is None) == (self.git_blob is None):
            raise ValueError(f"{self.path} needs exactly one pin, sha256 or git_blob")


@dataclass(frozen=True)
class Dataset:
    """A public data set under the name that users type."""

    name: str
    files: tuple[File, ...]
    licence: str
    about: str


def _multi30k(path: str, size: int, sha256: str) -> File:
    return File(path, f"https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/{path}", size, sha256)


def _wikitext(path: str, size: int | None = None, sha256: str | None = None, git_blob: str | None = None) -> File:
    url = f"https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2/{path}"
    return File(path, url, size, sha256, git_blob)


DATASETS = (
    Dataset(
        "tinyshakespeare",
        (
            File(
                "input.txt",
                "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
                1_115_394,
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            ),
        ),
        licence="MIT (the repository); the text is in the public domain",
        about="plays of Shakespeare, 1.1 MB of text",
    ),
    Dataset(
        "wikitext-2",
        (
            _wikitext("train.txt", git_blob="2d84b35af79e411d73ea7cae83c73964c6ac83b4"),
            _wikitext("valid.txt", 1_121_681, "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8"),
            _wikitext("test.txt", 1_256_449, "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0"),
        ),
        licence="BSD-3-Clause (the repository); the text is CC BY-SA",
        about="Wikipedia articles as words with <unk> for rare ones, 13 MB of text",
    ),
    Dataset(
        "multi30k",
        (
            _multi30k(
                "test_2016_flickr.de.gz", 22_890, "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8"
            ),
            _multi30k(
                "test_2016_flickr.en.gz", 21_077, "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9"
            ),
            _multi30k(
                "test_2016_flickr.fr.gz", 22_310, "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90"
            ),
            _multi30k("train.de.gz", 637_044, "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"),
            _multi30k("train.en.gz", 568_929, "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"),
            _multi30k("train.fr.gz", 604_242, "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c"),
            _multi30k("val.de.gz", 24_681, "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"),
            _multi30k("val.en.gz", 21_650, "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"),
            _multi30k("val.fr.gz", 23_001, "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9"),
        ),
        licence="none stated; research and education, not commercial (said of the images that the captions describe)",
        about="image captions in English, German and French: 29,000 train, 1,014 tune and 1,000 test sentences",
    ),
)
