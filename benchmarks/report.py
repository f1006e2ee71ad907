"""Results as Markdown, alone or within a page: ``python -m benchmarks.report JSON... --page PAGE``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.figures import MEBIBYTE, Sample, find_ratio, median_sample, median_start
from benchmarks.results import Mode, Results, ServerResults, read_results
from benchmarks.workloads import NOT_MEASURED, WORKLOADS

BEGIN = "<!-- results: begin -->"
END = "<!-- results: end -->"

TITLES = {Mode.SPEED: "Speed", Mode.SCALING: "More workers", Mode.MEMORY: "Memory for large bodies"}


def render_report(comparisons: Sequence[Results]) -> str:
    """All tables of one or more comparisons, the same for the same results; headings from the second level on."""
    parts = [part for each in comparisons for part in _render_comparison(each)]
    servers = [server for each in comparisons for server in each.servers]
    return "\n\n".join([*parts, _render_versions(servers), _render_workloads(servers)]) + "\n"


def place_in_page(page: str, report: str, topic: str = "results") -> str:
    """The page with the report between its two marks, which name the topic.

    Raises:
        ValueError: the marks are not there, once each and in order.
    """
    begin, end = BEGIN.replace("results", topic), END.replace("results", topic)
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(f"the page has to hold {begin} and, after it, {end}")
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n\n{report}\n{end}{rest.partition(end)[2]}"


def publish(results: str, tables: str, json_file: Path | None, page_file: Path | None, topic: str = "results") -> None:
    """Write results as JSON and tables into a page, where files are given, and print the tables."""
    if json_file:
        json_file.write_text(results, encoding="utf-8")
    if page_file:
        page_file.write_text(place_in_page(page_file.read_text(encoding="utf-8"), tables, topic), encoding="utf-8")
    print(tables)


def _render_comparison(results: Results) -> Iterator[str]:
    sections = {Mode.SPEED: _render_speed, Mode.SCALING: _render_scaling, Mode.MEMORY: _render_memory}
    yield f"## {results.settings.title or TITLES[results.settings.mode]}"
    yield _render_machine(results)
    yield from sections[results.settings.mode](results)
    yield _render_starts(results)


def _render_machine(results: Results) -> str:
    machine, settings = results.machine, results.settings
    return (
        f"{machine.date}, {machine.processor}, {machine.cores} cores, {machine.memory_bytes / 1024 / MEBIBYTE:.0f} GiB,"
        f" {machine.system}, Linux {machine.kernel}; {machine.tools}.\n"
        f"Model {settings.model}. Figures are medians; starts: {settings.starts}; rounds: {settings.rounds}, each of"
        f" {settings.seconds} s, or for large requests, sent one at a time: {settings.serial_requests}.\n"
        f"Connections: {settings.connections}, concurrent gRPC calls on each: {settings.streams}."
        f" × is the ratio to {results.base.name}: more is better."
    )


def _render_speed(results: Results) -> Iterator[str]:
    head = ["requests/s", "×", "CPU ms per request", "×", "p50 ms", "p99 ms", "peak MiB"]
    for name, servers in _by_workload(results):
        base = _find_base(name, results)
        rows = [[_label(each, results), *_speed_cells(median_sample(each.samples[name]), base)] for each in servers]
        yield f"### {name}\n\n{render_table(['server', *head], rows)}"


def _speed_cells(sample: Sample, base: Sample | None) -> list[str]:
    return [
        show_number(sample.requests_per_second),
        _times(sample.requests_per_second, base.requests_per_second if base else None),
        show_number(sample.cpu_ms),
        # Less is better, so this ratio is inverted.
        _times(base.cpu_ms, sample.cpu_ms) if base else "-",
        show_number(sample.p50_ms),
        show_number(sample.p99_ms),
        _mebibytes(sample.peak_bytes),
    ]


def _render_scaling(results: Results) -> Iterator[str]:
    """Requests a second by workers, and how much more than with one."""
    counts = sorted({each.workers for each in results.servers})
    heads = [f"{count} workers" if count > 1 else "1 worker" for count in counts]
    for name, servers in _by_workload(results):
        speeds = {(each.name, each.workers): median_sample(each.samples[name]).requests_per_second for each in servers}
        rows = []
        for server in dict.fromkeys(each.name for each in servers):
            row = [speeds.get((server, count)) for count in counts]
            gain = _times(row[-1], row[0]) if row[0] and row[-1] else "-"
            rows.append([server, *("-" if speed is None else show_number(speed) for speed in row), gain])
        yield f"### {name}, requests/s\n\n{render_table(['server', *heads, 'gain'], rows)}"


def _render_memory(results: Results) -> Iterator[str]:
    """The peak above what the server held when it had started, in bodies of a request."""
    head = ["server", "body MiB", "idle MiB", "peak MiB", "peak above idle MiB", "in bodies"]
    for name, servers in _by_workload(results):
        rows = []
        for each in servers:
            idle = median_start(each.starts).resident_bytes
            peak = median_sample(each.samples[name]).peak_bytes
            body = each.request_bytes[name]
            sizes = map(_mebibytes, (body, idle, peak, peak - idle))
            rows.append([_label(each, results), *sizes, f"{(peak - idle) / body:.1f}"])
        yield f"### {name}, memory\n\n{render_table(head, rows)}"


def _render_starts(results: Results) -> str:
    head = ["server", "first correct response s", "×", "idle RSS MiB", "×", "idle PSS MiB", "processes"]
    base = median_start(results.base.starts)
    rows = []
    for each in results.servers:
        if each.absence:
            rows.append([_label(each, results), each.absence, *"-----"])
        if not each.starts:
            continue
        start = median_start(each.starts)
        rows.append(
            [
                _label(each, results),
                show_number(start.seconds),
                _times(base.seconds, start.seconds),
                _mebibytes(start.resident_bytes),
                _times(base.resident_bytes, start.resident_bytes),
                _mebibytes(start.proportional_bytes),
                f"{start.processes:.0f}",
            ]
        )
    return f"### Start and idle memory\n\n{render_table(head, rows)}"


def _render_versions(servers: Sequence[ServerResults]) -> str:
    rows = [
        [each.name, ", ".join(f"{name} {version}" for name, version in each.versions.items()), each.note]
        for each in {each.name: each for each in servers}.values()
    ]
    return f"## Versions\n\n{render_table(['server', 'installed', 'how it is run'], rows, numbers=False)}"


def _render_workloads(servers: Sequence[ServerResults]) -> str:
    rows = []
    for workload in WORKLOADS.values():
        sizes = {each.request_bytes[workload.name] for each in servers if workload.name in each.request_bytes}
        if not sizes:
            continue
        size = " to ".join(f"{size:,}" for size in sorted({min(sizes), max(sizes)}))
        asked = "one at a time" if workload.is_serial else "concurrently"
        form = f"{workload.form.value}, {workload.shape[0]}×{workload.shape[1]} doubles"
        rows.append([workload.name, form, asked, size])
    table = render_table(["workload", "request", "sent", "body, bytes"], rows, numbers=False)
    left_out = ";\n".join(f"- {each}" for each in NOT_MEASURED)
    return f"## Workloads\n\n{table}\n\nNot measured:\n\n{left_out}."


def _by_workload(results: Results) -> Iterator[tuple[str, list[ServerResults]]]:
    for name in WORKLOADS:
        if servers := [each for each in results.servers if each.samples.get(name)]:
            yield name, servers


def _find_base(workload: str, results: Results) -> Sample | None:
    """The figures of the server that ratios are to, if it does that workload."""
    samples = results.base.samples.get(workload)
    return median_sample(samples) if samples else None


def _label(server: ServerResults, results: Results) -> str:
    is_one_count = len({each.workers for each in results.servers}) == 1
    return server.name if is_one_count else f"{server.name}, workers: {server.workers}"


def render_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    """Return a Markdown table; ``numbers`` are right-aligned, in all columns except the first."""
    rule = ["---", *(["---:"] if numbers else ["---"]) * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def show_number(value: float) -> str:
    """Return three digits, or all digits before the decimal point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _times(value: float, base: float | None) -> str:
    ratio = find_ratio(value, base) if base else None
    return "-" if ratio is None else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


def _mebibytes(value: float) -> str:
    return f"{value / MEBIBYTE:,.3g}" if value < 100 * MEBIBYTE else f"{value / MEBIBYTE:,.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report, or put it into a page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("results", nargs="+", type=Path, help="the JSON of comparisons")
    parser.add_argument("--page", type=Path, metavar="FILE", help="rewrite the part between the marks of this page")
    given = parser.parse_args(arguments)
    report = render_report([read_results(each.read_text(encoding="utf-8")) for each in given.results])
    if given.page is None:
        sys.stdout.write(report)
    else:
        page = given.page.read_text(encoding="utf-8")
        given.page.write_text(place_in_page(page, report), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
