"""What was measured of a workload: its figures as JSON, a table, and a picture."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from matplotlib.figure import Figure

from tests.benchmarks.agreement import Agreement
from tests.benchmarks.bound import Bound, Limits
from tests.benchmarks.report import machine, new_console, new_table
from tests.benchmarks.sides.protocol import Served


@dataclass(frozen=True)
class SideResult:
    """All runs of one side, what it ran, and whether its tokens were right."""

    name: str
    description: str
    dtype: str
    runs: Sequence[Served]
    bound: Bound
    agreement: Agreement

    @property
    def rates(self) -> list[float]:
        """Output tokens a second of each run."""
        return [run.tokens_per_second for run in self.runs]

    @property
    def of_bound(self) -> float:
        """The median run's share of the bound."""
        return statistics.median(self.rates) / self.bound.tokens_per_second

    @property
    def peak_bytes(self) -> int:
        """The largest resident memory of its process in any run."""
        return max(run.peak_bytes for run in self.runs)

    def first_token_s(self, share: float) -> float:
        """Percentile of the seconds to a request's first token, by nearest rank; median over the runs."""
        index = math.ceil(share * len(self.runs[0].first_token_s)) - 1
        return statistics.median(sorted(run.first_token_s)[index] for run in self.runs)


@dataclass(frozen=True)
class ServingResult:
    """A workload by all sides; `missing` says of each side that did not start why not."""

    workload: str
    description: str
    limits: Limits
    sides: Sequence[SideResult]
    missing: dict[str, str]

    def save(self, folder: Path) -> None:
        """Print the table, and write `serving-<workload>` as .txt, .json and .png."""
        stem = folder / f"serving-{self.workload}"
        stem.with_suffix(".txt").write_text(self._print())
        stem.with_suffix(".json").write_text(json.dumps(self._figures(), indent=1))
        self._draw(stem.with_suffix(".png"))

    def _print(self) -> str:
        headings = ("output tokens/s", "slowest-fastest", "of bound", "first token p50, s", "p99, s")
        table = new_table(self.description, "side", *headings, "peak memory", "outputs")
        for side in self.sides:
            rates = side.rates
            table.add_row(
                side.name,
                f"{statistics.median(rates):,.0f}",
                f"{min(rates):,.0f}-{max(rates):,.0f}",
                f"{side.of_bound:.2f}",
                f"{side.first_token_s(0.5):.2f}",
                f"{side.first_token_s(0.99):.2f}",
                f"{side.peak_bytes / 2**30:.2f} GiB",
                str(side.agreement),
            )
        for dtype, bound in self._bounds().items():
            table.add_row(f"bound, {dtype}", f"{bound.tokens_per_second:,.0f}", "", "1.00")
        console = new_console()
        console.print(table, f"The machine {self.limits}.", "What each side ran:", sep="\n")
        for side in self.sides:
            console.print(f"  {side.name}: {side.description}; {len(side.runs)} runs")
        for name, reason in self.missing.items():
            console.print(f"  {name} is left out: {reason}")
        return console.export_text()

    def _bounds(self) -> dict[str, Bound]:
        return {side.dtype: side.bound for side in self.sides}

    def _figures(self) -> dict[str, object]:
        return {
            "workload": self.description,
            "machine": machine(),
            "limits": asdict(self.limits),
            "bounds": {
                dtype: asdict(bound) | {"tokens_per_second": bound.tokens_per_second}
                for dtype, bound in self._bounds().items()
            },
            "sides": {
                side.name: {
                    "description": side.description,
                    "dtype": side.dtype,
                    "tokens_per_second": side.rates,
                    "of_bound": side.of_bound,
                    "first_token_p50_s": side.first_token_s(0.5),
                    "first_token_p99_s": side.first_token_s(0.99),
                    "peak_bytes": side.peak_bytes,
                    "outputs": asdict(side.agreement),
                }
                for side in self.sides
            },
            "missing": self.missing,
        }

    def _draw(self, path: Path) -> None:
        figure = Figure(figsize=(9, 1.4 + 0.42 * len(self.sides)), layout="constrained")
        axes = figure.subplots()
        for side in self.sides:
            middle = statistics.median(side.rates)
            reach = [[middle - min(side.rates)], [max(side.rates) - middle]]
            color = "tab:blue" if side.name.startswith("cblab") else "tab:gray"
            axes.barh(side.name, middle, xerr=reach, color=color, capsize=3)
        for dtype, bound in self._bounds().items():
            line = "-" if dtype == "float32" else "--"
            axes.axvline(bound.tokens_per_second, color="tab:red", linestyle=line, label=f"bound, {dtype}")
        axes.invert_yaxis()
        axes.set_xlabel("output tokens/s: median, slowest and fastest run")
        figure.suptitle(f"{self.workload}\n{machine()}", fontsize=8)
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1))
        figure.savefig(path, dpi=150)
