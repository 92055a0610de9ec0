"""Language modelling: text, its tokens and batches, the recurrent language model, its training, and generated text.

Other packages import the names below from here.
"""

from minirnn.language.baselines import bigram_loss, unigram_loss
from minirnn.language.batches import Batches, TextTooShort, split
from minirnn.language.beam import beam_search
from minirnn.language.config import ConfigError, TrainConfig
from minirnn.language.corpora import Corpus, CorpusError, data_folder, load_corpus
from minirnn.language.model import LAYERS, LanguageModel, from_arrays, step_states, to_arrays
from minirnn.language.process import ctrl_c, one_blas_thread
from minirnn.language.repetition import Loop, ending_loop, repeated_share
from minirnn.language.runs import BEST, LAST, Reporter, calibrate, checkpoint_file, run
from minirnn.language.sampling import SamplingError, generate
from minirnn.language.scheduled_sampling import mixed_inputs
from minirnn.language.tokenizers import UNKNOWN, CharTokenizer, WordTokenizer, tokenizer_from_state
from minirnn.language.training import Diverged, StepReport, Trainer, environment, load_model

__all__ = [
    "BEST",
    "LAST",
    "LAYERS",
    "UNKNOWN",
    "Batches",
    "CharTokenizer",
    "ConfigError",
    "Corpus",
    "CorpusError",
    "Diverged",
    "LanguageModel",
    "Loop",
    "Reporter",
    "SamplingError",
    "StepReport",
    "TextTooShort",
    "TrainConfig",
    "Trainer",
    "WordTokenizer",
    "beam_search",
    "bigram_loss",
    "calibrate",
    "checkpoint_file",
    "ctrl_c",
    "data_folder",
    "ending_loop",
    "environment",
    "from_arrays",
    "generate",
    "load_corpus",
    "load_model",
    "mixed_inputs",
    "one_blas_thread",
    "repeated_share",
    "run",
    "split",
    "step_states",
    "to_arrays",
    "tokenizer_from_state",
    "unigram_loss",
]
