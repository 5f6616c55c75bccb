"""What a kernel raises can only be printed, "Exception ignored in ...": here that fails the test."""

from pathlib import Path

import pytest

from tests.test_networks import networks  # noqa: F401

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning"))
