"""The mood of chat: better than guessing and than a list of words, quick enough, and nobody's id shown."""

from __future__ import annotations

import time

import numpy as np
import pytest

from dagster_project.insights import sentiment
from dagster_project.insights.chat_sentiment import masked, top_terms
from dagster_project.insights.sentiment import accuracies, kept_mood, labelled_texts, part_of, takes_a_side, trained_mood
from dagster_project.simulator import phrases


@pytest.fixture(scope="module")
def mood(tmp_path_factory):
    return trained_mood(tmp_path_factory.mktemp("models"))


def test_it_is_trained_once_and_kept_where_it_can_be(tmp_path, monkeypatch):
    trained = []

    def train(texts, labels):
        trained.append(len(texts))
        return sentiment.Mood(np.arange(3.0), 0.5)

    monkeypatch.setattr(sentiment, "train", train)
    no_folder = tmp_path / "file"
    no_folder.touch()
    places = no_folder / "models", tmp_path / "private"
    assert kept_mood(*places) is None
    first = trained_mood(*places)
    (kept,) = (tmp_path / "private").iterdir()
    second = trained_mood(*places)
    assert len(trained) == 1 and trained[0] > 10_000
    assert (first.weights.tolist(), first.intercept) == (second.weights.tolist(), second.intercept) == ([0.0, 1.0, 2.0], 0.5)
    kept.write_bytes(kept.read_bytes()[:100])
    assert kept_mood(*places) is None
    assert trained_mood(*places).intercept == 0.5 and len(trained) == 2


def test_a_model_that_cannot_be_kept_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*given, **arrays):
        raise OSError("No space left on device")

    monkeypatch.setattr(sentiment, "train", lambda texts, labels: sentiment.Mood(np.arange(3.0), 0.5))
    monkeypatch.setattr(np, "savez_compressed", full)
    assert trained_mood(tmp_path / "models", tmp_path / "private").intercept == 0.5
    assert list(tmp_path.glob("*/*")) == []


def test_on_texts_it_was_not_trained_on_it_beats_the_majority_and_the_word_list(mood):
    texts, labels = labelled_texts()
    held_out = np.array([part_of(text) == "test" for text in texts])
    assert 0.18 < held_out.mean() < 0.22
    found = accuracies(mood, [text for text, use in zip(texts, held_out, strict=True) if use], labels[held_out])
    assert found["model"] > 0.82
    assert found["model"] > found["lexicon"] + 0.1 and found["model"] > found["majority"] + 0.1


def test_in_a_live_room_which_its_reviews_never_saw_it_is_still_far_from_guessing(mood):
    praise = [text.format(p="羊绒围巾") for text in phrases.PRAISE]
    grumble = [text.format(p="羊绒围巾") for text in phrases.GRUMBLE]
    found = accuracies(mood, praise + grumble, np.array([True] * len(praise) + [False] * len(grumble)))
    # docs/insights.md says that here the word list does as well.
    assert found["model"] >= 0.7 and found["majority"] == 0.5


def test_a_hundred_thousand_messages_take_less_than_a_minute(mood):
    texts = [f"{text.format(p='面膜')}{number}" for number in range(4200) for text in phrases.PRAISE + phrases.GRUMBLE]
    began = time.monotonic()
    assert len(mood.score_chat(texts[:100_000])) == 100_000
    assert time.monotonic() - began < 60


def test_questions_and_numbers_take_no_side(mood):
    assert list(mood.score_chat(["666", "多少钱", "还有库存吗", "good night"])) == [0.5] * 4
    assert takes_a_side("质量真不错")


def test_ids_and_names_are_masked_and_a_long_message_is_cut():
    assert masked("@小明 我的号 68000000000000104729 u1a2b3c4d5 加我 13800138000") == "@… 我的号 … u1a2b3c4d5 加我 …"
    assert masked("好" * 100) == "好" * 59 + "…"


def test_top_terms_are_those_said_here_more_than_elsewhere():
    here = [("红包", 4, 5, 96), ("主播", 4, 50, 96), ("链接", 1, 1, 96)]
    # 红包 4 of 9 here, 5 of 96 in all; 主播 4 of 9 here, 50 of 96 in all; 链接 was said once only.
    assert list(top_terms(here)) == ["红包"]
