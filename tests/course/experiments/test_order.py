"""`order`: the sentences of a pair have the same words and opposite answers; a bag of words can't distinguish them."""

from collections import Counter

import numpy as np
import pytest

from minirnn import Tensor, no_grad, random
from minirnn.course.experiments import order

PAIRS = order.all_pairs()


def some(count, seed=0):
    return [PAIRS[k] for k in np.random.default_rng(seed).permutation(len(PAIRS))[:count]]


def test_the_sentences_of_a_pair_have_the_same_words_in_another_order():
    for pair in PAIRS:
        assert Counter(pair.yes) == Counter(pair.no)
        assert pair.yes != pair.no


def test_the_answers_match_the_sentences():
    for pair in PAIRS:
        said, place = {
            "who acts": (order.ANIMALS, 1),
            "who acts, passive": (order.ANIMALS, -1),
            "not": (order.GOOD, 3),
            "not, first": (order.GOOD, -1),
        }[pair.kind]
        assert pair.yes[place] in said
        assert pair.no[place] not in said


def test_no_sentence_is_in_two_pairs():
    sentences = [tuple(words) for pair in PAIRS for words in (pair.yes, pair.no)]
    assert len(set(sentences)) == len(sentences)
    assert set(Counter(pair.kind for pair in PAIRS)) == set(order.PAIR_KINDS)


def content(pair):
    """Return the content words of a pair, with the verb in the active form."""
    active = {done: does for does, done in order.DEEDS}
    return frozenset(active.get(word, word) for word in pair.yes) - {"the", "is", "by", ",", "not", "but"}


@pytest.mark.parametrize("seed", range(3))
def test_a_fifth_of_the_combinations_is_kept_back_in_both_kinds(seed):
    train, test = order.split(PAIRS, np.random.default_rng(seed))
    assert len(train) + len(test) == len(PAIRS)
    seen, unseen = Counter(map(content, train)), Counter(map(content, test))
    assert not set(seen) & set(unseen)
    assert set(seen.values()) == set(unseen.values()) == {2}
    assert len(unseen) == (8 * 8 * 5 + 8 * 7 * 7) // 5
    assert all(len(words) == 3 for words in unseen)
    assert {pair.kind for pair in test} == set(order.PAIR_KINDS)


@pytest.mark.parametrize("seed", range(3))
def test_a_bag_gives_both_sentences_of_a_pair_the_same_scores(seed):
    random.manual_seed(seed)
    ids, _ = order.encode(some(40, seed))
    with no_grad():
        yes, no = np.split(order.network("bag", 5)(ids).data, 2)
    # The sums are bitwise equal; the rounding of the products can differ from row to row.
    np.testing.assert_allclose(yes, no, rtol=0, atol=1e-6)


def test_a_recurrent_network_reads_to_the_last_word_and_not_into_the_padding():
    random.manual_seed(3)
    model = order.network("LSTM", 5)
    ids, _ = order.encode(some(7))
    longer = np.concatenate([ids, np.zeros((4, ids.shape[1]), int)])
    with no_grad():
        whole, padded, shorter = (model(given).data for given in (ids, longer, ids[:-1]))
    np.testing.assert_allclose(padded, whole, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(np.isclose(shorter, whole, rtol=0, atol=1e-6).all(axis=1), ids[-1] == 0)


def test_right_counts_the_sentences_of_each_pair():
    class AlwaysYes(order.Bag):
        def forward(self, ids):
            return Tensor(np.tile(np.float32([0, 1]), (ids.shape[1], 1)))

    np.testing.assert_array_equal(order.right(AlwaysYes(order.VOCABULARY.size, 2, 2), some(6)), 1)


def results(bag=0.5, rnn=1.0, lstm=1.0):
    """Return the results of one seed with these accuracies."""
    shares = {"bag": bag, "RNN": rnn, "LSTM": lstm}
    return [
        {
            "network": name,
            "seed": 0,
            "curve": [[0, 0.5], [10, share]],
            "accuracy": share,
            "one_right": 0.0,
            "learnt": share,
            "by_kind": dict.fromkeys(order.PAIR_KINDS, share),
        }
        for name, share in shares.items()
    ]


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [
        ({}, "held"),
        ({"rnn": 0.94}, "held in part"),
        ({"rnn": 0.94, "lstm": 0.6}, "did not hold"),
        ({"bag": 0.501}, "held"),
        ({"bag": 0.52}, "did not hold"),
    ],
)
def test_the_verdict_follows_the_accuracies(shares, verdict):
    assert order.judge(results(**shares), 10).verdict == verdict


def test_training_is_reproducible_and_the_tables_show_the_results():
    sides = order.split(some(60), np.random.default_rng(0))
    once, again = (order.learn("RNN", sides, 5, 3, lambda done: None) for _ in range(2))
    assert once == again
    assert len(once["curve"]) == 4
    first, second = order.tables(order.judge(results(), 10).numbers)
    assert [row[0] for row in first.rows] == list(order.PAIR_KINDS)
    assert second.rows[0][:2] == ["bag", "50.0%"]


def test_the_figure_draws():
    pytest.importorskip("matplotlib")
    curves, bars = order.draw(order.judge(results(), 10).numbers).axes
    assert len([line for line in curves.lines if len(line.get_xdata()) == 2 and line.get_label()[0] != "_"]) == 3
    assert len(bars.patches) == 12
