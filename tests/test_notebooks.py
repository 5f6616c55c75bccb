"""The notebooks run: their own assertions hold, and they print what is stored in them.

python -m tests.test_notebooks      stores what they print now
"""

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def executed(path):
    """The notebook with the outputs of a fresh run. An assertion that fails raises CellExecutionError."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    place = os.pathsep.join([str(FOLDER.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    client = NotebookClient(notebook, timeout=300, kernel_name="python3")
    return client.execute(env={**os.environ, "PYTHONPATH": place, "PYDEVD_DISABLE_FILE_VALIDATION": "1"})


def printed(notebook):
    """What each cell of code prints; anything else that it shows, a warning say, fails."""
    texts = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert all(output.output_type == "stream" and output.name == "stdout" for output in cell.outputs), cell
            texts.append("".join(output.text for output in cell.outputs))
    return texts


def test_there_are_some():
    assert len(NOTEBOOKS) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path):
    pytest.importorskip("nbclient", reason="needs nbclient and ipykernel, which are not installed")
    pytest.importorskip("ipykernel", reason="needs nbclient and ipykernel, which are not installed")
    import nbformat

    stored = nbformat.read(path, as_version=4)
    nbformat.validate(stored)
    assert printed(executed(path)) == printed(stored)
    asserted = sum(line.startswith("assert ") for cell in stored.cells for line in cell.source.splitlines())
    assert asserted >= 10, "a notebook that proves what it says"


def store():
    import nbformat

    for path in NOTEBOOKS:
        notebook = executed(path)
        for cell in notebook.cells:
            cell.metadata = {}
            if cell.cell_type == "code":
                cell.execution_count = None
        notebook.metadata.pop("widgets", None)
        notebook.metadata["language_info"] = {"name": "python"}
        printed(notebook)
        nbformat.write(notebook, path)


if __name__ == "__main__":
    store()
