"""Text: where it comes from, its tokens, its batches, and what counting alone predicts."""

from minirnn.text.baselines import bigram_loss, unigram_loss
from minirnn.text.batches import Batches, TextTooShort, split
from minirnn.text.corpora import Corpus, CorpusError, data_folder, load_corpus
from minirnn.text.repetition import Loop, ending_loop, repeated_share
from minirnn.text.tokenizers import UNKNOWN, CharTokenizer, WordTokenizer, tokenizer_from_state

__all__ = [
    "UNKNOWN",
    "Batches",
    "CharTokenizer",
    "Corpus",
    "CorpusError",
    "Loop",
    "TextTooShort",
    "WordTokenizer",
    "bigram_loss",
    "data_folder",
    "ending_loop",
    "load_corpus",
    "repeated_share",
    "split",
    "tokenizer_from_state",
    "unigram_loss",
]
