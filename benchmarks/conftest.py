"""Gathers the ratios of all benchmarks and prints them as one table when all are done."""

import pytest

from benchmarks.ratios import in_columns, table

ROWS = pytest.StashKey[list[dict[str, object]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Take the rows of a test that has passed: a ratio of wrong answers is none."""
    report = yield
    benchmark = getattr(item, "funcargs", {}).get("benchmark")
    if call.when == "call" and report.passed and benchmark is not None and not benchmark.disabled:
        item.config.stash[ROWS] += benchmark.extra_info.get("ratios", [])
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """One table, below everything else."""
    if rows := config.stash[ROWS]:
        terminalreporter.section("ratios, measured side by side in this run")
        terminalreporter.write_line(in_columns(table(rows)))
