"""Text: where it comes from, its tokens, its batches, and what counting alone predicts."""

from minirnn.language.baselines import bigram_loss, unigram_loss
from minirnn.language.batches import Batches, TextTooShort, split
from minirnn.language.corpora import Corpus, CorpusError, data_folder, load_corpus
from minirnn.language.repetition import Loop, ending_loop, repeated_share
from minirnn.language.tokenizers import UNKNOWN, CharTokenizer, WordTokenizer, tokenizer_from_state

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
