import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests prepare their corpora in a folder of their own, and tell W&B nothing."""
    import os

    os.environ["ABLATE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["WANDB_MODE"] = "disabled"


def pytest_configure(config: pytest.Config) -> None:
    sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def _signals_are_answered() -> None:
    """Shells make background jobs ignore SIGINT, and nohup SIGHUP; what is started by tests would inherit that."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True, scope="module")
def no_wandb_left_over():
    """wandb keeps one service a process, with the settings of whoever was first."""
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Corpora are prepared in this process, where what a test has replaced counts."""
    from corpora import in_this_process

    monkeypatch.setattr("ablate.data.prepare.run_in_child", in_this_process)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without figures, which take most of the time."""
    monkeypatch.setattr("ablate.report.render.FIGURES", {})


# A profile says how many examples each @given tries. Examples may take as long as they like, on a slow machine too.
settings.register_profile("short", max_examples=20, derandomize=True, database=None, deadline=None)
settings.register_profile("many", max_examples=100, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("short")  # unless --hypothesis-profile names another
