"""Conversations as arrays: every index refers to the correct word."""

import numpy as np
import pytest

from minirnn.chatbot.batches import batch, encode, shuffled
from minirnn.chatbot.conversations import (
    BOT,
    NUMBER,
    SPECIAL,
    UNKNOWN,
    USER,
    Vocabulary,
    conversation,
    read,
    value_words,
)

V = Vocabulary.of_conversations()


def alike(count, turns=5):
    return [conversation((3, seed), "test", turns=(turns, turns)) for seed in range(count)]


def test_ids_and_names():
    turns = conversation(1, "test")
    encoded = encode(turns, V)
    spoken = [words for turn in turns for words in (read(turn.user)[0], turn.words)]
    assert encoded.turns == len(turns)
    names = {}
    for k, (words, ids, named) in enumerate(zip(spoken, encoded.ids, encoded.names, strict=True)):
        assert ids == [*(V.id(word) for word in words), (BOT, USER)[k % 2]]
        for word, name in zip(words, named, strict=False):
            assert names.setdefault(word, name) == name
    assert len(set(names.values())) == len(names)
    assert any(name >= len(V) for name in names.values())


def test_forgetting_hides_values_in_the_whole_conversation_and_keeps_what_replies_need():
    turns = conversation(1)
    values = set(value_words())
    hidden = set()
    for seed in range(40):
        encoded = encode(turns, V, np.random.default_rng(seed))
        spoken = [words for turn in turns for words in (read(turn.user)[0], turn.words)]
        seen = {}
        for words, ids in zip(spoken, encoded.ids, strict=True):
            for word, index in zip(words, ids, strict=False):
                assert seen.setdefault(word, index) == index
        gone = {word for word, index in seen.items() if index != V.id(word)}
        assert all(seen[word] in (UNKNOWN, NUMBER) for word in gone)
        assert not {word for word in gone - values if any(word in turn.words for turn in turns)}
        hidden |= gone
    assert hidden & values


def test_each_index_of_a_batch_points_at_its_word():
    made = [encode(turns, V) for turns in alike(4)]
    b = batch(made)
    flat = b.ids.reshape(-1)
    for k, encoded in enumerate(made):
        ids = [index for words in encoded.ids for index in words]
        names = [name for words in encoded.names for name in words]
        assert b.ids[: len(ids), k].tolist() == ids
        for u, words in enumerate(encoded.ids):
            m = k * 2 * encoded.turns + u
            assert flat[b.places[: b.lengths[m], m]].tolist() == words
        for n in range(encoded.turns):
            reply, named = encoded.ids[2 * n + 1], encoded.names[2 * n + 1]
            size = len(reply)
            start = b.starts[k, n]
            assert ids[start] == BOT
            assert b.utterance[start, k] == 2 * n
            assert b.sizes[k, n] == size
            assert b.previous[:size, k, n].tolist() == [BOT, *reply[:-1]]
            (at,) = np.nonzero((b.turn[k] == n) & (b.targets[k] >= 0))
            assert b.step[k, at].tolist() == list(range(size))
            assert b.targets[k, at].tolist() == reply
            assert b.said[k, at].tolist() == [index == USER or index >= len(SPECIAL) for index in reply]
            for d, q in enumerate(at):
                assert np.flatnonzero(b.same[k, q]).tolist() == [t for t, name in enumerate(names) if name == named[d]]
                after = [t for t in range(1, len(names)) if d and names[t - 1] == named[d - 1]]
                assert [t for t in np.flatnonzero(b.follows[k, q]) if t < len(names)] == after


def test_different_numbers_of_turns_are_no_batch():
    with pytest.raises(ValueError, match=r"equal numbers of turns, got \[5, 6\]"):
        batch([encode(alike(1, 5)[0], V), encode(alike(1, 6)[0], V)])


def test_a_pass_has_every_conversation_once():
    pool = [encode(conversation(seed), V) for seed in range(50)]
    batches = list(shuffled(pool, 4, np.random.default_rng(0)))
    assert sum(b.ids.shape[1] for b in batches) == 50
    assert max(b.ids.shape[1] for b in batches) == 4
    words = sorted(word for b in batches for word in b.targets[b.targets >= 0].tolist())
    assert words == sorted(word for encoded in pool for reply in encoded.ids[1::2] for word in reply)
