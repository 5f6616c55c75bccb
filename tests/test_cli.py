"""The command line: what it prints, what it writes, how it fails."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from minitfl import __version__
from minitfl.__main__ import main
from minitfl.build import Model
from minitfl.commands.classify import parse_labels
from minitfl.engine.isa import best
from minitfl.engine.library import library
from tests.cases import shared_image, shared_model

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """No colours, whatever the terminal that pytest runs in."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def command(capsys):
    """Runs a command; gives (exit code, output, errors)."""

    def call(*words):
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return call


def pixel_ranks(type="float32", shape=(1, 1, 2, 3), files=None, **fields):
    """A model whose scores are its input's values."""
    m = Model()
    x = m.input(shape, type, name="pixels", **fields)
    y = m.tensor((1, 6), type, name="scores", **fields)
    m.op("RESHAPE", [x, m.constant(np.int32([1, 6]))], [y])
    m.output(y)
    content = io.BytesIO(m.content())
    if files:
        with zipfile.ZipFile(content, "a") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
    return content.getvalue()


def add_model():
    m = Model()
    a, b = (m.input((1, 2), name=name) for name in ("serving_default_a:0", "serving_default_b:0"))
    y = m.tensor((1, 2), name="StatefulPartitionedCall/sum:0")
    m.op("ADD", [a, b], [y])
    m.output(y)
    m.signature("add", {"a": a, "b": b}, {"sum": y})
    return m.content()


@pytest.fixture
def files(tmp_path):
    """A folder with a picture of two pixels, whose six values rank 5 3 4 1 2 0, and models for it."""
    np.save(tmp_path / "picture.npy", np.array([[[0, 30, 20], [50, 40, 255]]], np.uint8))
    (tmp_path / "float.tflite").write_bytes(pixel_ranks())
    (tmp_path / "bytes.tflite").write_bytes(pixel_ranks("uint8", scale=1 / 256, zero_point=0))
    (tmp_path / "add.tflite").write_bytes(add_model())
    (tmp_path / "labels.txt").write_text("zero\none\ntwo\nthree\nfour\nfive\n")
    return tmp_path


def ranking(output):
    """[(class, score)] of a plain table."""
    lines = output.splitlines()
    start = max(i for i, line in enumerate(lines) if line.strip() and not line.strip("- ")) + 1  # under the rule
    return [tuple(part for part in line.split("  ") if part.strip())[1:] for line in lines[start:]]


# ---- classify


def test_classify_without_arguments(command):
    code, output, errors = command("classify")
    assert (code, errors) == (0, "")
    assert "digit.npy, digits.tflite" in output
    name, score = (text.strip() for text in ranking(output)[0])
    assert name == "6" and float(score.removesuffix(" %")) > 50
    assert "@" in output and len(ranking(output)) == 5


def test_ranks_and_normalises(command, files):
    _, output, _ = command("classify", files / "picture.npy", "--model", files / "float.tflite", "--top", 2)
    assert [(n.strip(), s.strip()) for n, s in ranking(output)] == [("class 5", "1"), ("class 3", "-0.607843")]
    words = ("--model", files / "float.tflite", "--mean", "0,10,20", "--std", "2", "--labels", files / "labels.txt")
    _, output, _ = command("classify", files / "picture.npy", *words)
    # (50 - 0) / 2 = 25, (40 - 10) / 2 = 15, (255 - 20) / 2 = 117.5, (30 - 10) / 2 = 10
    wanted = [("five", "117.5"), ("three", "25"), ("four", "15"), ("one", "10"), ("zero", "0")]
    assert [(n.strip(), s.strip()) for n, s in ranking(output)] == wanted


def test_quantized_input_and_inverted_picture(command, files):
    _, output, _ = command("classify", files / "picture.npy", "--model", files / "bytes.tflite", "--top", 1)
    assert ranking(output)[0][1].strip() == f"{255 / 256:.6g}"
    _, output, _ = command("classify", files / "picture.npy", "--model", files / "bytes.tflite", "--invert")
    assert ranking(output)[0] == ("class 0", f"{255 / 256:.6g}")


def test_labels_of_the_model(command, files):
    (files / "named.tflite").write_bytes(pixel_ranks(files={"names.txt": "a\nb\nc\nd\ne\nf"}))
    _, output, _ = command("classify", files / "picture.npy", "--model", files / "named.tflite", "--top", 1)
    assert ranking(output)[0][0].strip() == "f"


@pytest.mark.parametrize(
    "labels, first, noted",
    [
        ("background a b c d e f", "f", ""),  # the labels have a background, the model has none
        ("a b c d e", "e", ""),  # the model has one, the labels have none
        ("background b c d e f", "f", ""),
        ("a b c", "class 5", "3 labels for 6 classes"),
        ("5:last", "last", ""),
    ],
)
def test_background_and_stray_labels(command, files, labels, first, noted):
    (files / "labels.txt").write_text("\n".join(labels.split()))
    words = ("--model", files / "float.tflite", "--labels", files / "labels.txt")
    code, output, errors = command("classify", files / "picture.npy", *words)
    assert code == 0 and ranking(output)[0][0].strip() == first
    assert noted in errors and bool(errors) == bool(noted)


def test_label_files():
    assert parse_labels(["a", "b", ""]) == {0: "a", 1: "b"}
    assert parse_labels(["a", "", "c"]) == {0: "a", 1: "", 2: "c"}
    assert parse_labels(["0  person", "2  a car"]) == {0: "person", 2: "a car"}
    assert parse_labels(["1: x", "7: y"]) == {1: "x", 7: "y"}
    assert parse_labels(["7 up", "2 dogs"]) == {0: "7 up", 1: "2 dogs"}  # numbers that do not count up
    assert parse_labels(["1", "2"]) == {0: "1", 1: "2"}
    assert parse_labels([]) == {}


@pytest.mark.parametrize("model", ["mobilenet_v1_0.5_160_quant", "mobilenet_v2_1.0_224_quant"])
def test_a_cat_is_a_cat(command, model):
    pytest.importorskip("PIL")
    words = ("--model", shared_model(f"coral/{model}.tflite"), "--labels", shared_image("imagenet_labels.txt"))
    code, output, errors = command("classify", shared_image("cat.bmp"), *words)
    assert (code, errors) == (0, "")
    assert [name.strip() for name, _ in ranking(output)[:3]].count("tabby, tabby cat") == 1
    assert ranking(output)[0][0].strip() == "Egyptian cat"


def test_a_bird_is_a_chickadee(command):
    pytest.importorskip("PIL")
    model = shared_model("coral/mobilenet_v2_1.0_224_inat_bird_quant.tflite")
    words = ("--model", model, "--labels", shared_image("inat_bird_labels.txt"), "--top", 1)
    _, output, _ = command("classify", shared_image("bird.bmp"), *words)
    assert "Poecile atricapillus (Black-capped Chickadee)" in output


def test_in_colour(command, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    code, output, _ = command("classify")
    assert code == 0 and "▀" in output and "\x1b[38;2;" in output and "┃" in output


def test_without_the_tools(command, files, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("rich", "PIL")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("rich", "rich.console", "PIL"):
        monkeypatch.setitem(sys.modules, name, None)
    code, output, _ = command("classify")
    assert code == 0 and "@" in output and "\x1b" not in output
    (files / "a.png").write_bytes(b"")
    code, _, errors = command("classify", files / "a.png")
    assert code == 2 and "Pillow" in errors


# ---- run


def test_run_by_name_and_order(command, files):
    np.save(files / "a.npy", np.float32([[1, 2]]))
    np.save(files / "b.npy", np.float32([[10, 30]]))
    a, b = files / "a.npy", files / "b.npy"
    for words in (
        (f"--input=a={a}", f"--input=b={b}"),
        ("--input", a, "--input", b),
        ("--input", f"b={b}", "--input", a),
    ):
        code, output, errors = command(
            "run", files / "add.tflite", *words, "--out", files / "out", "--signature", "add"
        )
        assert (code, errors) == (0, "")
        assert np.load(files / "out" / "sum.npy").tolist() == [[11, 32]]
    assert output.splitlines()[-1].split() == ["out", "sum", "1x2", "float32", "11", "32", "21.5"]


def test_run_on_random_numbers(command, files):
    np.save(files / "a.npy", np.float32([[100, 100]]))
    seen = []
    for seed in (1, 1, 2):
        words = ("--random", "--seed", seed, "--input", f"a={files / 'a.npy'}", "--out", files / "out")
        assert command("run", files / "add.tflite", *words)[0] == 0
        seen.append(np.load(files / "out" / "sum.npy"))
    assert np.array_equal(seen[0], seen[1]) and not np.array_equal(seen[0], seen[2])
    assert (abs(seen[0] - 100) <= 1).all()


def test_run_without_a_signature(command, files):
    words = ("--random", "--out", files / "out")
    assert command("run", files / "float.tflite", *words)[0] == 0
    assert np.load(files / "out" / "scores.npy").shape == (1, 6)


def test_run_in_real_numbers(command, files):
    np.save(files / "x.npy", np.full((1, 1, 2, 3), 0.25))
    assert command("run", files / "bytes.tflite", "--input", files / "x.npy", "--real", "--out", files)[0] == 0
    assert np.load(files / "scores.npy").tolist() == [[0.25] * 6]


def test_outputs_get_sound_file_names(command, files):
    m = Model()
    outputs = [m.input((1,), name=name) for name in ("../up", "up", "UP", "///")]
    m.output(*outputs)
    (files / "names.tflite").write_bytes(m.content())
    assert command("run", files / "names.tflite", "--random", "--out", files / "out")[0] == 0
    names = sorted(path.name for path in (files / "out").iterdir())
    assert names == ["UP_2.npy", "output.npy", "up.npy", "up_1.npy"]
    assert not (files / "up.npy").exists()


# ---- inspect


def test_inspect(command, files):
    code, output, errors = command("inspect", files / "add.tflite")
    assert (code, errors) == (0, "")
    assert "signature   add(a = t0, b = t1) -> (sum = t2), subgraph 0" in output
    assert "StatefulPartitionedCall/sum:0" in output


def test_inspect_as_json(command, files):
    code, output, _ = command("inspect", files / "add.tflite", "--json")
    assert code == 0 and json.loads(output)["totals"]["operators"] == {"ADD": 1}


# ---- benchmark


def test_benchmark(command, files):
    code, output, errors = command("benchmark", files / "add.tflite", "--runs", 3, "--kernels", "numpy")
    assert code == 0 and errors.splitlines()[0] == "minitfl: benchmark: allocating"
    lines = output.splitlines()
    assert lines[0].startswith("add.tflite: 1 nodes, 0 MACs, 1 thread") and "(3 runs)" in lines[1]
    assert lines[-1].split()[:3] == ["0", "ADD", "1x2"] and "numpy" in lines[-1].split()


def test_benchmark_as_json(command, files):
    code, output, _ = command("benchmark", files / "add.tflite", "--seconds", 0.01, "--threads", 2, "--json")
    found = json.loads(output)
    assert code == 0 and found["threads"] == 2 and found["latency"]["median"] > 0 and found["numpy_share"] == 1
    (node,) = found["nodes"]
    assert node["op"] == "ADD" and node["nbytes"] == 24 and node["seconds"] >= 0 and "against" not in found


def test_benchmark_against_the_official_runtime(files, official):
    """In a process of its own, as this one never loads that runtime."""
    words = ("benchmark", files / "add.tflite", "--runs", 2, "--blocks", 3, "--against", "litert")
    with process(*words, stdout=subprocess.PIPE, text=True) as running:
        output = running.communicate()[0]
    assert running.returncode == 0 and "LiteRT" in output and "ratio " in output and "3 blocks" in output
    with process(*words, "--json", stdout=subprocess.PIPE, text=True) as running:
        found = json.loads(running.communicate()[0])["against"]
    assert found["blocks"] == 3 and found["ratio"] > 0 and found["official_seconds"] > 0


def test_benchmark_waits_for_machine_code(command, files, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setenv("MINITFL_KERNELS", "auto")
    monkeypatch.setenv("MINITFL_CACHE", str(files / "cache"))
    library.cache_clear()
    try:
        code, output, errors = command("benchmark", files / "add.tflite", "--runs", 1)
    finally:
        library.cache_clear()
    assert code == 0 and ("numba" in output) == ("minitfl: benchmark: compiling" in errors) == (best() is not None)


def test_benchmark_where_it_is_missing_or_refuses(command, files, official, monkeypatch):
    from minitfl import rival

    def refuse(*_, **__):
        raise RuntimeError("it refuses")

    words = ("benchmark", files / "add.tflite", "--runs", 1, "--against", "litert")
    with monkeypatch.context() as patch:
        patch.setattr(rival, "race", refuse)
        code, output, errors = command(*words)
    assert code == 0 and "it refuses" in errors and "ADD" in output
    monkeypatch.setattr(rival, "installed", lambda: False)
    code, output, errors = command(*words)
    assert (code, output) == (2, "") and one_line(errors) and "pip install ai-edge-litert" in errors


@pytest.mark.parametrize("rich", [True, False])
def test_progress_on_a_terminal(monkeypatch, rich):
    from minitfl.commands import terminal

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    if rich:
        pytest.importorskip("rich")
    else:
        for name in ("rich", "rich.console", "rich.progress"):
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with terminal.progress("benchmark") as tell:
        tell("[whole] runs", 0.25)
        tell("[whole] runs", 0.5)
    assert "benchmark: [whole] runs" in sys.stderr.getvalue() and "50" in sys.stderr.getvalue()


# ---- failures


def one_line(errors):
    return errors.startswith("minitfl: ") and errors.count("\n") == 1 and "Traceback" not in errors


@pytest.mark.parametrize(
    "words",
    [
        "classify missing.npy",
        "classify float.tflite",
        "classify --model float.tflite",
        "classify picture.npy --model missing.tflite",
        "classify picture.npy --model add.tflite",
        "classify picture.npy --labels missing.txt",
        "classify picture.npy --std 0",
        "run missing.tflite",
        "run .",
        "run add.tflite",
        "run add.tflite --input missing.npy",
        "run add.tflite --input labels.txt",
        "run add.tflite --input a=picture.npy --random",
        "run add.tflite --input c=picture.npy --random",
        "run add.tflite --random --signature none",
        "run add.tflite --random --seed -1",
        "run float.tflite --random --out labels.txt",
        "inspect missing.tflite",
        "benchmark missing.tflite",
        "benchmark add.tflite --threads 0",
        "benchmark add.tflite --runs 0",
        "benchmark add.tflite --seconds -1",
    ],
)
def test_wrong_use(command, files, monkeypatch, words):
    monkeypatch.chdir(files)
    code, output, errors = command(*words.split())
    assert (code, output if "--out" not in words else "") == (2, "") and one_line(errors), errors


@pytest.mark.parametrize(
    "words", ["", "fly", "classify --top 0", "classify --mean 1,2", "classify --std x", "run", "run a b", "inspect"]
)
def test_words_that_are_no_command(command, words):
    code, output, errors = command(*words.split())
    assert (code, output) == (2, "") and "usage: minitfl" in errors and "error: " in errors


@pytest.mark.parametrize(
    "words",
    [
        "run bad.tflite --random",
        "inspect bad.tflite",
        "classify picture.npy --model bad.tflite",
        "benchmark bad.tflite",
    ],
)
@pytest.mark.parametrize("content", [b"", b"no model at all", b"\0\0\0\1TFL3 and then not much"])
def test_a_model_that_fails(command, files, monkeypatch, content, words):
    monkeypatch.chdir(files)
    (files / "bad.tflite").write_bytes(content)
    code, output, errors = command(*words.split())
    assert (code, output) == (1, "") and one_line(errors) and "not a valid Flatbuffer" in errors


def test_a_model_that_fails_while_it_runs(command, files):
    m = Model()
    y = m.tensor((1, 2))
    m.custom("Nonsuch", [m.input((1, 2))], [y])
    m.output(y)
    (files / "custom.tflite").write_bytes(m.content())
    code, _, errors = command("run", files / "custom.tflite", "--random")
    assert code == 1 and one_line(errors) and "Nonsuch" in errors
    code, output, errors = command("inspect", files / "custom.tflite")  # to look at it is still possible
    assert (code, errors) == (0, "") and "can't run" in output and "Nonsuch" in output


def test_help_and_version(command):
    assert command("--version") == (0, f"minitfl {__version__}\n", "")
    code, output, _ = command("--help")
    assert code == 0 and all(name in output for name in ("classify", "run", "inspect", "--as"))
    for name in ("classify", "run", "inspect", "show", "compare", "benchmark"):
        assert command(name, "--help")[0] == 0


# ---- as a process


def process(*words, **keywords):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-m", "minitfl", *map(str, words)], env=environment, **keywords)


def test_as_a_process(files):
    with process("inspect", files / "missing", stderr=subprocess.PIPE, text=True, cwd=files) as running:
        _, errors = running.communicate()
    assert running.returncode == 2 and one_line(errors)


def test_a_reader_that_leaves(files):
    m = Model()
    x = m.input((1,))
    for _ in range(3000):  # more than a pipe holds
        y = m.tensor((1,))
        m.op("RESHAPE", [x], [y], new_shape=[1])
        x = y
    m.output(x)
    (files / "long.tflite").write_bytes(m.content())
    with process("inspect", files / "long.tflite", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.readline()
        running.stdout.close()
        errors = running.stderr.read()
    assert (running.returncode, errors) == (0, b"")
