"""proof/gates.py: mistakes that are planted one at a time in correct gates are caught and named."""

import dataclasses

import numpy as np
import pytest

import minirnn_kernels
from minirnn_kernels.cell import CELLS
from minirnn_kernels.proof import prove, prove_gates, prove_gates_case
from minirnn_kernels.proof.gates import EXTREME, FUNCTIONS, GATES_SIZES, cases
from tests.doubles.records import function_of, with_function

GATES = minirnn_kernels.get("numpy").gates


def after(path, change):
    """Return the NumPy gates with a call of change(*arguments) after one of the functions."""
    right = function_of(GATES, path)

    def wrong(*arguments):
        right(*arguments)
        with np.errstate(all="ignore"):
            change(*arguments)

    return with_function(GATES, path, wrong)


def times(position, factor):
    """Return a change that scales an argument, or one block of it, given as (argument, block)."""

    def change(*arguments):
        at = position if isinstance(position, int) else position[0]
        (arguments[at] if isinstance(position, int) else arguments[at][position[1]])[...] *= factor

    return change


def naive_sigmoid(a):
    return np.exp(a) / (1 + np.exp(a))


def lstm_by(sigmoid=lambda a: 1 / (1 + np.exp(-a)), tanh=np.tanh, forget=1.0):
    def lstm(gates, c_prev, c, h):
        with np.errstate(all="ignore"):
            for k, function in enumerate((sigmoid, sigmoid, tanh, sigmoid)):
                gates[k] = function(gates[k])
            c[...] = forget * gates[1] * c_prev + gates[0] * gates[2]
            h[...] = gates[3] * tanh(c)

    return with_function(GATES, "lstm.forward", lstm)


WHOLE_VECTORS = 16


def only_whole_vectors(path, filled):
    """Return gates that do not compute the last H % 16 units of one result."""

    def wrong(*arguments):
        before = arguments[filled].copy()
        function_of(GATES, path)(*arguments)
        tail = before.shape[-1] % WHOLE_VECTORS
        if tail:
            arguments[filled][..., -tail:] = before[..., -tail:]

    return with_function(GATES, path, wrong)


def beyond_the_end(path, argument):
    """Return gates that write one entry past the end of a row, like code that stores only whole vectors."""

    def wrong(*arguments):
        function_of(GATES, path)(*arguments)
        a = arguments[argument]
        if a.size:
            row = a[(*[-1] * (a.ndim - 1), slice(None))]
            np.lib.stride_tricks.as_strided(row, (row.size + 1,), row.strides)[-1] = 0

    return with_function(GATES, path, wrong)


def relu_backward(zero):
    def rnn_backward(h, dh, nonlinearity):
        if nonlinearity == "relu":
            dh[zero(h)] = 0
        else:
            GATES.rnn.backward(h, dh, nonlinearity)

    return with_function(GATES, "rnn.backward", rnn_backward)


def rnn_by(relu):
    def rnn(a, nonlinearity):
        if nonlinearity == "relu":
            a[...] = relu(a)
        else:
            GATES.rnn.forward(a, nonlinearity)

    return with_function(GATES, "rnn.forward", rnn)


def noisy():
    rng = np.random.default_rng(0)

    def change(gates, h_prev, h):
        h *= 1 + np.finfo(h.dtype).eps * rng.integers(0, 2, h.shape)

    return after("gru.forward", change)


def gradient_through_h_missing(gates, c_prev, c, dh, dc, da):
    i, f, g, o = gates
    with np.errstate(all="ignore"):
        da[0] = dc * g * i * (1 - i)
        da[1] = dc * c_prev * f * (1 - f)
        da[2] = dc * i * (1 - g * g)
        da[3] = dh * np.tanh(c) * o * (1 - o)
        dc *= f


PLANTED = {
    "tanh's derivative without its square": (
        with_function(GATES, "rnn.backward", lambda h, dh, _: np.multiply(dh, 1 - h, out=dh)),
        r"numpy gates, rnn_backward-tanh, float64, case 'B=1, H=1, contiguous', da: worst entry \[0, 0\] is",
    ),
    "tanh off by ten roundings": (after("rnn.forward", times(0, 1 + 3e-15)), r"rnn-tanh, float64, .*, h: worst"),
    "relu turns NaN into 0": (rnn_by(lambda a: np.where(a > 0, a, 0)), r"rnn-relu, .*a NaN.*, h: a number where NaN"),
    "relu leaks": (rnn_by(lambda a: np.where(a > 0, a, 1e-30 * a)), r"rnn-relu, .*, h: worst entry"),
    "derivative 1 at the kink": (relu_backward(lambda h: h < 0), r"rnn_backward-relu, .*, da: worst entry"),
    "no gradient where h is NaN": (relu_backward(lambda h: ~(h > 0)), r"rnn_backward-relu, .*a NaN in h.*, da: worst"),
    "a sigmoid that overflows": (lstm_by(sigmoid=naive_sigmoid), r"lstm, .*extreme values', \w: NaN where a number"),
    "a sigmoid by tanh, inaccurate at the left end": (
        lstm_by(sigmoid=lambda a: 0.5 * np.tanh(a / 2) + 0.5),
        r"lstm, .*, [ifo]: worst entry",
    ),
    "a tanh by the sigmoid, inaccurate around 0": (
        lstm_by(tanh=lambda a: 1 - 2 / (1 + np.exp(2 * a))),
        r"lstm, .*, g: worst entry",
    ),
    "c too large by a hundred roundings": (lstm_by(forget=1 + 1e-13), r"lstm, float64, .*, c: worst entry"),
    "f and g swapped": (
        with_function(GATES, "lstm.forward", lambda gates, *rest: GATES.lstm.forward(gates[[0, 2, 1, 3]], *rest)),
        r"lstm, float64, case 'B=1, H=1, contiguous', i: worst entry",
    ),
    "gates stay pre-activations": (
        with_function(GATES, "lstm.forward", lambda gates, *rest: GATES.lstm.forward(gates.copy(), *rest)),
        r"lstm, .*, i: worst entry",
    ),
    "c written before c_prev is read": (
        with_function(
            GATES, "lstm.forward", lambda gates, c_prev, c, h: (c.fill(0), GATES.lstm.forward(gates, c_prev, c, h))
        ),
        r"lstm, .*c is c_prev', c: worst entry",
    ),
    "c_prev changed": (after("lstm.forward", times(1, 2)), r"lstm, .*: the argument c_prev was changed"),
    "an LSTM that forgets the tail": (only_whole_vectors("lstm.forward", 3), r"lstm, .*H=1, .*h: NaN where a number"),
    "the tail of h past its end": (beyond_the_end("lstm.forward", 3), r"lstm, .*: memory outside h was overwritten"),
    "NaN in a row reaches the next": (
        after("lstm.forward", lambda gates, c_prev, c, h: h.__imul__(np.where(np.isnan(h).any(), np.nan, 1))),
        r"lstm, .*a NaN in gates, block 0', h: NaN where a number was expected",
    ),
    "do without its derivative": (
        after("lstm.backward", lambda gates, c_prev, c, dh, dc, da: da[3].__itruediv__(1 - gates[3])),
        r"lstm_backward, .*, da_o: worst entry",
    ),
    "df with c in the place of c_prev": (
        with_function(GATES, "lstm.backward", lambda y, c_prev, c, *rest: GATES.lstm.backward(y, c, c, *rest)),
        r"lstm_backward, .*, da_f: worst entry",
    ),
    "dc past the forget gate": (
        after("lstm.backward", lambda gates, c_prev, c, dh, dc, da: dc.__itruediv__(gates[1])),
        r"lstm_backward, .*, dc_prev: worst",
    ),
    "no gradient through h into c": (
        with_function(GATES, "lstm.backward", gradient_through_h_missing),
        r"lstm_backward, .*, da_i: worst",
    ),
    "dh changed": (after("lstm.backward", times(3, 0)), r"lstm_backward, .*: the argument dh was changed"),
    "gates overwritten": (after("lstm.backward", times((0, 2), 0)), r"lstm_backward, .*: the argument gates was cha"),
    "da of the tail left out": (only_whole_vectors("lstm.backward", 5), r"lstm_backward, .*, da_i: NaN where a number"),
    "z and 1 - z swapped": (
        after("gru.forward", lambda gates, h_prev, h: np.subtract(gates[0] + h_prev, h, out=h)),
        r"gru, .*, h: worst entry",
    ),
    "q changed": (after("gru.forward", times((0, 3), 1 + 1e-15)), r"gru, float64, .*, q: worst entry .* allowed 0"),
    "the GRU's tail past its end": (beyond_the_end("gru.forward", 2), r"gru, .*: memory outside h was overwritten"),
    "other bits each time": (noisy(), r"gru, .*, h: two equal calls, different bits"),
    "da_r without q": (
        after("gru.backward", lambda gates, h_prev, dh, da: da[1].__itruediv__(gates[3])),
        r"gru_backward, .*, da_r: worst entry",
    ),
    "da_z without h_prev": (
        after("gru.backward", lambda gates, h_prev, dh, da: da[2].__imul__(-gates[0] / (h_prev - gates[0]))),
        r"gru_backward, .*, da_z: worst entry",
    ),
    "dq is da_n": (
        after("gru.backward", lambda gates, h_prev, dh, da: np.copyto(da[3], da[0])),
        r"gru_backward, .*, dq: worst entry",
    ),
    "the GRU's carry missing": (after("gru.backward", times(2, 0)), r"gru_backward, .*, z \* dh: worst entry"),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_mistake_is_caught_and_named(mistake):
    wrong, message = PLANTED[mistake]
    with pytest.raises(AssertionError, match=message):
        prove_gates(wrong)


def test_a_mistake_in_one_dtype_is_caught():
    def single_is_wrong(a, nonlinearity):
        GATES.rnn.forward(a, nonlinearity)
        if a.dtype == np.float32:
            a *= np.float32(1 + 1e-5)

    wrong = with_function(GATES, "rnn.forward", single_is_wrong)
    prove_gates(wrong, dtypes=(np.float64,))
    with pytest.raises(AssertionError, match=r"rnn-tanh, float32, .*, h: worst entry"):
        prove_gates(wrong)


def test_gates_that_take_only_contiguous_blocks_are_caught():
    def contiguous(*arguments):
        assert all(a.flags.c_contiguous for a in arguments)
        GATES.lstm.forward(*arguments)

    def by_address(gates, c_prev, c, h):  # like code that uses the address of the first entry and ignores the strides
        blocks = np.lib.stride_tricks.as_strided(gates, gates.shape, np.empty_like(gates, order="C").strides)
        GATES.lstm.forward(blocks, c_prev, c, h)

    with pytest.raises(AssertionError, match=r"lstm, .*strided': AssertionError"):
        prove_gates(with_function(GATES, "lstm.forward", contiguous))
    with pytest.raises(AssertionError, match=r"lstm, .*B=2, H=15, strided': memory outside gates was"):
        prove_gates(with_function(GATES, "lstm.forward", by_address))


def test_an_exception_is_named_with_its_case():
    def refuses(*arguments):
        raise ZeroDivisionError("rows")

    message = r"numpy gates, gru, float64, case 'B=1, H=1, contiguous': ZeroDivisionError: rows"
    with pytest.raises(AssertionError, match=message):
        prove_gates(with_function(GATES, "gru.forward", refuses))


def test_a_record_is_only_proven_with_its_gates():
    record = dataclasses.replace(minirnn_kernels.get("numpy"), gates=after("gru.forward", times(2, 1.001)))
    with pytest.raises(AssertionError, match=r"numpy gates, gru, float64, .*, h: worst entry"):
        prove(record)


def test_one_case():
    prove_gates_case(GATES, "gru", B=3, H=29, strided=True, seed=7, dtype=np.float32)
    with pytest.raises(AssertionError, match=r"gru, float64, case 'B=3, H=29, contiguous', h: worst entry"):
        prove_gates_case(after("gru.forward", times(2, 1.001)), "gru", B=3, H=29)


def test_the_cases_cover_what_the_contract_names():
    covered = {function.of(GATES) for function in FUNCTIONS.values()}
    assert covered == {f for cell in CELLS for f in vars(GATES.of(cell)).values()}
    assert {H for _, H in GATES_SIZES} >= {1, 15, 16, 17, 33, 64, 67}
    assert 0 in {B for B, _ in GATES_SIZES}
    assert {100.0, -100.0, 1e4, -1e4} <= set(EXTREME)
    for function in FUNCTIONS.values():
        for strided in (False, True):
            found = [case for case in cases(function) if case.strided == strided]
            assert {(case.B, case.H) for case in found} >= set(GATES_SIZES)
            assert {case.nan[0] for case in found if case.nan} == set(function.inputs)
            assert any(case.extreme for case in found)
            assert any(case.shared for case in found) == (function.name == "lstm")
