"""The model of the store, and what is computed from it.

The public names below are imported when first asked for, so that a command pays only for what it uses.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.experiment import compare as compare
    from sim.experiment import open_runs as open_runs
    from sim.experiment import replicate as replicate
    from sim.experiment import select as select
    from sim.experiment import sensitivity as sensitivity
    from sim.experiment import sweep as sweep
    from sim.history import state_at as state_at
    from sim.kpis import KPIS as KPIS
    from sim.kpis import compute as compute
    from sim.layout import Layout as Layout
    from sim.layout import LayoutError as LayoutError
    from sim.replay import replay as replay
    from sim.report import write_report as write_report
    from sim.results import kpi_table as kpi_table
    from sim.results import read_result as read_result
    from sim.results import slot_table as slot_table
    from sim.results import write_result as write_result
    from sim.scenario import Loaded as Loaded
    from sim.scenario import Scenario as Scenario
    from sim.scenario import ScenarioError as ScenarioError
    from sim.scenario import load as load
    from sim.simulation import Result as Result
    from sim.simulation import Simulation as Simulation
    from sim.simulation import run as run
    from sim.study import answer as answer
    from sim.studyfile import load_study as load_study
    from sim.studyreport import keep_study as keep_study
    from sim.studyreport import pictures as pictures
    from sim.studyreport import write_study_report as write_study_report
    from sim.tables import RunFacts as RunFacts
    from sim.trace import FactsError as FactsError
    from sim.trace import Trace as Trace
    from sim.trace import read_facts as read_facts
    from sim.trace import read_parts as read_parts
    from sim.trace import write_facts as write_facts
    from sim.validation import run_checks as run_checks

_MODULES = {
    "experiment": ("compare", "open_runs", "replicate", "select", "sensitivity", "sweep"),
    "history": ("state_at",),
    "kpis": ("KPIS", "compute"),
    "layout": ("Layout", "LayoutError"),
    "replay": ("replay",),
    "report": ("write_report",),
    "results": ("kpi_table", "read_result", "slot_table", "write_result"),
    "scenario": ("Loaded", "Scenario", "ScenarioError", "load"),
    "simulation": ("Result", "Simulation", "run"),
    "study": ("answer",),
    "studyfile": ("load_study",),
    "studyreport": ("keep_study", "pictures", "write_study_report"),
    "tables": ("RunFacts",),
    "trace": ("FactsError", "Trace", "read_facts", "read_parts", "write_facts"),
    "validation": ("run_checks",),
}
_PUBLIC = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sim' has no attribute {name!r}")
    return getattr(import_module(f"sim.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
