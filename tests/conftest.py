"""What every test shares: the drawing backend, Hypothesis profiles, and the data beside the repository."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["MPLBACKEND"] = "Agg"

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("nightly", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder `data` of the project's shared folder, which stands beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    data = Path(os.environ.get("METERHOUSE_SHARED", beside)) / "data"
    if not data.is_dir():
        pytest.skip(f"no shared data at {data}: set METERHOUSE_SHARED to the shared folder")
    return data
