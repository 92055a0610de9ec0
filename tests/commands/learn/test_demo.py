"""`minirnn demo`: all of its parts run, in order."""

from minirnn.language import TrainConfig
from tests.commands.command_line import minirnn


def test_demo_shows_all_its_parts(tmp_path, text, monkeypatch):
    from minirnn.commands.learn import demo
    from minirnn.course.experiments import vanishing
    from minirnn.language import load_corpus

    monkeypatch.setitem(vanishing.EFFORTS, "quick", (1, 2, 125))
    for name, value in (("HIDDEN", 8), ("RADII", (1.0,)), ("FORGET_BIASES", (0.0,))):
        monkeypatch.setattr(vanishing, name, value)
    monkeypatch.setattr(demo, "load_corpus", lambda _name: load_corpus(text))
    small = {"hidden": 5, "embedding": 3, "batch": 2, "seq": 4}
    monkeypatch.setattr(demo, "TrainConfig", lambda **asked: TrainConfig(**asked | small))
    monkeypatch.setattr(demo, "PROMPT", "the ")
    result = minirnn("demo", "--seconds", 0.2, "--out", tmp_path / "r")
    assert result.exit_code == 0, result.output
    places = [
        result.stdout.find(w)
        for w in ("BLAS", "24 of 24", "reaches", "before training", "bigram model", "after step", "> My name is")
    ]
    assert -1 not in places
    assert places == sorted(places)
    assert (tmp_path / "r" / "best.safetensors").exists()
    turns = result.stdout.split("> My name is ")[1].splitlines()
    assert turns[1].startswith("Nice to meet you, ")
    assert [line for line in turns if line.startswith(("the timer: ", "the name: "))] == turns[-2:]
