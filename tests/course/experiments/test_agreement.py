"""`agreement`: the sentences are correct English, simple rules fail on them, and the verdict follows the numbers."""

import itertools

import numpy as np
import pytest

from minirnn import random
from minirnn.course.experiments import agreement
from minirnn.course.sentences import WordIds, WordReader


def rng(seed=0):
    return np.random.default_rng(seed)


SENTENCES = [(depth, *agreement.sentence(rng([depth, k]), depth)) for depth in range(6) for k in range(40)]


def test_each_verb_agrees_with_its_subject():
    for _, words, verbs in SENTENCES:
        for verb in verbs:
            assert words[verb.subject].endswith("s") == verb.plural
            singular, plural = next(forms for forms in (*agreement.VERBS, agreement.BE) if words[verb.at] in forms)
            assert words[verb.at] == (plural if verb.plural else singular)


def test_every_sentence_follows_the_grammar():
    for depth, words, verbs in SENTENCES:
        assert words.count("who") == depth
        assert len(verbs) == depth + 1
        assert sum(word in agreement.BE for word in words) == 1
        assert words[-2] in agreement.BE
        assert words[-1] in agreement.ADJECTIVES
        for before, word in itertools.pairwise(words):
            is_noun = word.removesuffix("s") in agreement.NOUNS
            assert is_noun == (before == "the")


def test_subjects_and_verbs_nest_like_brackets():
    # The last subject gets its verb first: if another verb is between a subject and its verb, so is that verb's
    # subject.
    for _, _, verbs in SENTENCES:
        assert verbs[-1].subject == 1
        for verb in verbs:
            for other in verbs:
                if verb.subject < other.at < verb.at:
                    assert other.subject >= verb.subject


def test_the_depth_of_a_verb_counts_the_clauses_between():
    for _, words, verbs in SENTENCES:
        for verb in verbs:
            assert words[verb.subject : verb.at].count("who") == verb.depth + (words[verb.at - 1] == "who")


def test_the_simple_rules_use_the_first_and_the_last_noun():
    for _, words, verbs in SENTENCES:
        for verb in verbs:
            nouns = [word for word in words[: verb.at] if word.removesuffix("s") in agreement.NOUNS]
            assert verb.last_noun_plural == nouns[-1].endswith("s")
            assert verb.first_noun_plural == nouns[0].endswith("s")


def test_the_last_noun_is_right_half_the_time_and_never_where_it_misleads():
    verbs = [verb for _, _, own in SENTENCES for verb in own]
    rows = agreement.rows("last noun", 1, verbs, [verb.last_noun_plural for verb in verbs])
    far = [row for row in rows if row["distance"] > 2]  # after "who", the last noun can be the subject itself
    assert abs(np.mean([row["right"] for row in far]) - 0.5) < 0.1
    assert not any(row["right"] for row in rows if row["misled"])


def test_a_batch_predicts_the_number_at_the_word_before_each_verb():
    ids, verbs, (steps, columns) = agreement.batch(rng(1), 7, [0, 2])
    words = np.array(["", *agreement.VOCABULARY.words])
    assert ids.shape[1] == 7
    assert len(verbs) == len(steps)
    for verb, step, column in zip(verbs, steps, columns, strict=True):
        following = words[ids[step + 1, column]]
        forms = [f for f in (*agreement.VERBS, agreement.BE) if following in f]
        assert forms[0][int(verb.plural)] == following


def test_a_few_steps_of_training_help_with_shallow_sentences():
    model = agreement.trained("RNN", 0, 40, lambda done: None)
    ids, verbs, index = agreement.batch(rng(2), 100, [0])
    said = model(ids).data[index].argmax(-1)
    assert np.mean(said == [verb.plural for verb in verbs]) > 0.75


def test_training_is_reproducible():
    once, again = (agreement.trained("LSTM", 3, 2, lambda done: None).state_dict() for _ in range(2))
    for name, values in once.items():
        np.testing.assert_array_equal(values, again[name])


def answers(seen, deeper):
    """Return answers on ten verbs with a misleading last noun, in shallow and in deep sentences, for each network.

    seen, deeper: the number of correct answers of the RNNs and the GRU, and of the LSTM.
    """
    made = []
    for who in agreement.NETWORKS:
        for depth, right in ((agreement.SEEN, seen), (agreement.SEEN + 1, deeper)):
            count = right[who == "LSTM"]
            common = {"who": who, "sentence_depth": depth, "depth": 1, "distance": 5, "misled": True}
            made += [common | {"right": k < count} for k in range(10)]
    return made


@pytest.mark.parametrize(
    ("seen", "deeper", "verdict"),
    [
        ((5, 10), (5, 9), "held"),
        ((10, 10), (5, 9), "held in part"),
        ((5, 10), (5, 5), "held in part"),
        ((10, 10), (9, 9), "did not hold"),
        ((10, 10), (7, 8), "did not hold"),  # one more verb of ten is not significant
        ((5, 8), (5, 10), "did not hold"),
    ],
)
def test_the_verdict_follows_the_accuracies(seen, deeper, verdict):
    assert agreement.judge(answers(seen, deeper), 1, 1).verdict == verdict


def test_ahead_is_by_two_standard_errors():
    def right(count, of=1000):
        return [k < count for k in range(of)]

    # Two standard errors at a share of 1/2 are 2 sqrt(2 · 0.25 / 1000) = 0.0447.
    assert agreement.ahead(right(546), right(500))
    assert not agreement.ahead(right(543), right(500))
    assert not agreement.ahead(right(500), right(546))
    assert not agreement.ahead(right(1000), right(1000))


def test_accuracies_are_counted_by_depth_and_distance():
    numbers = agreement.judge(answers((5, 10), (4, 9)), 1, 1).numbers
    at = {(c["who"], c["from"]): c["misled_right"] for c in numbers["by_depth"]}
    assert at["RNN", 2] == 0.5
    assert at["LSTM", 3] == 0.9
    assert at["LSTM", 4] is None
    for key, right in (("by_distance_seen", 0.5), ("by_distance_deeper", 0.4)):
        distance = {(c["who"], c["from"]): c for c in numbers[key]}
        assert distance["RNN", 4]["right"] == right
        assert distance["RNN", 4]["verbs"] == 10


def test_tables_and_figure_show_every_network():
    pytest.importorskip("matplotlib")
    numbers = agreement.judge(answers((5, 10), (4, 9)), 1, 1).numbers
    examples, *accuracies = agreement.tables(numbers)
    assert len(examples.rows) == 4
    for table in accuracies:
        assert [row[0] for row in table.rows] == list(agreement.NETWORKS)
        assert all(len(row) == len(table.header) for row in table.rows)
    panel = agreement.draw(numbers).axes[0]
    assert {line.get_label() for line in panel.lines} >= set(agreement.NETWORKS)


def test_word_ids_number_the_words_and_reject_unknown_words():
    vocabulary = WordIds([["b", "a"], ["c", "a"]])
    assert vocabulary.size == 4
    np.testing.assert_array_equal(vocabulary.encode([["c"], ["a", "b"]]), [[3, 1], [0, 2]])
    with pytest.raises(KeyError):
        vocabulary.encode([["d"]])


def test_the_scores_of_a_word_depend_only_on_it_and_the_words_before():
    random.manual_seed(0)
    model = WordReader(5, "gru", 3, 4)
    ids = rng(3).integers(1, 5, (6, 2))
    scores = model(ids).data
    assert scores.shape == (6, 2, 2)
    np.testing.assert_allclose(model(ids[:3]).data, scores[:3], rtol=0, atol=1e-6)
