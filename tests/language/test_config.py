"""The settings of a run: an error message names the value that can't be used."""

import math

import pytest

from minirnn.language import ConfigError, TrainConfig


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": 0}, "hidden must be at least 1, got 0"),
        ({"layers": -1}, "layers must be at least 1, got -1"),
        ({"seq": 0}, "seq must be at least 1"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"validate_every": 0}, "validate-every must be at least 1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"lr": 0.0}, "lr must be a finite number above 0"),
        ({"lr": math.nan}, "lr must be a finite number above 0, got nan"),
        ({"clip_norm": math.inf}, "clip-norm must be a finite number above 0"),
        ({"clip_value": -1.0}, "clip-value must be a finite number above 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        ({"cell": "qrnn"}, "cell must be one of rnn, lstm, gru, got 'qrnn'"),
        ({"teacher": "cosine"}, "teacher must be one of always, linear, exponential, inverse-sigmoid, got 'cosine'"),
        ({"teacher_end": 1.0}, "teacher-end must be above 0 and below 1, got 1.0"),
        (
            {"teacher": "inverse-sigmoid", "steps": 2, "teacher_end": 0.1},
            "teacher-end must be at least 0.119 for an inverse sigmoid of 2 steps, got 0.1",
        ),
        ({"optimizer": "lion"}, "optimizer must be one of sgd, rmsprop, adagrad, adam, adamw"),
        ({"dtype": "float16"}, "dtype must be one of float32, float64"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**change)
