"""Prints, at the end of a run, what the lab tests have counted (kill rates)."""

import pytest

COUNTED = "counted"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [
        report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, ())
    ]
    lines = [value for report in reports for name, value in report.user_properties if name == COUNTED]
    if lines:
        terminalreporter.section("labs: wrong and right answers")
        for line in sorted(set(lines)):
            terminalreporter.write_line(line)
