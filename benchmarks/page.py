"""The results page and its picture, made of results.json."""

import html
import math
import statistics

SETS = ("float32", "int8", "small weights", "tiny", "others")
TITLES = {
    "float32": "float32",
    "int8": "int8 and uint8",
    "small weights": "Dynamic range and float16 weights",
    "tiny": "Tiny models",
    "others": "Others",
}
LEAST_MS = 3  # two threads are said to pay off from here on


def text(data):
    """RESULTS.md"""
    latest = data.get("machine", {}).get("sources")
    known = sorted(data.get("networks", {}).items())
    rows = {name if row["sources"] == latest else f"{name} \\*": row for name, row in known}
    lines = ["# Results", "", *about(data), "", "![latencies](results.svg)", "", *summary(rows, data)]
    lines += ["", *bounds(rows)]
    for name in SETS:
        chosen = of_set(rows, name)
        if chosen:
            lines += ["", f"## {TITLES[name]}", "", *table(chosen, data.get("peaks", {}))]
    lines += ["", "## Threads, and NumPy alone", "", *threads(rows)]
    lines += ["", "## Where the time goes", "", *operators(rows)]
    lines += ["", "## Memory", "", *memory(rows)]
    lines += ["", "## The first answer", "", *first_answers(rows, data)]
    failed = [f"- {name}: {row['error']}" for name, row in rows.items() if "error" in row]
    if failed:
        lines += ["", "## What failed", "", *failed]
    if any(name.endswith("*") for name in rows):
        lines += ["", "\\* measured with earlier sources of minitfl."]
    return "\n".join(lines) + "\n"


def of_set(rows, name):
    return {key: row for key, row in rows.items() if name in row["sets"] and "error" not in row}


def markdown(heads, rows, side="---:"):
    """A table; the first column stands to the left, all others to the right, or as `side` says."""
    yield f"| {' | '.join(heads)} |"
    yield f"| --- |{f' {side} |' * (len(heads) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def number(value, form="{:.3f}"):
    return "" if value is None else form.format(value)


def milliseconds(value):
    """Three digits."""
    return f"{value:.{max(2 - math.floor(math.log10(value)), 0)}f}" if value and value < 100 else f"{value:.0f}"


# ---- the parts


def about(data):
    machine, peaks, one = (data.get(key, {}) for key in ("machine", "peaks", "one_operator"))
    versions = ", ".join(
        f"{label} {machine.get(key)}"
        for key, label in (("python", "Python"), ("numpy", "NumPy"), ("numba", "Numba"), ("ai-edge-litert", "LiteRT"))
        if machine.get(key)
    )
    yield f"{machine.get('date')}, minitfl {machine.get('minitfl')} (sources {machine.get('sources')}): {versions}."
    yield f"{machine.get('processor')}, {machine.get('cores')} cores, {machine.get('system')}; it has"
    yield f"{machine.get('features') or 'none of the features that are used'}; kernels are compiled for"
    yield f"{machine.get('instructions')}. [README.md](README.md) says what the figures mean and how they are measured."
    if peaks:
        dots = (name for name in ("amx", "vnni", "pairs", "sdot", "widen") if name in peaks)
        integers = ", ".join(f"{2e-9 * peaks[name]:.0f} GOP/s ({name})" for name in dots)
        near, far = (peaks[f"read_{size}_mib"] / 1e9 for size in (1, 256))
        yield ""
        yield f"Peak rates of one core, measured in the same run: float32 {2e-9 * peaks['fma']:.0f} GFLOP/s;"
        yield f"int8 {integers}; reading {near:.0f} GB/s from 1 MiB, {far:.0f} GB/s from 256 MiB."
    if one.get("ms"):
        ours, theirs = (f"{1e3 * one[key]:.2f} µs" for key in ("ms", "xnnpack_ms"))
        yield ""
        yield f"`invoke` of a model of one ADD on four numbers: {ours}; LiteRT {theirs}."


def least_ms(row, peaks, bytes_too=False):
    """What this processor's peak rates would allow, with as many products; or None.

    bytes_too: an operator takes as long as its products or its bytes, from a near cache, whichever is more.
    """
    if not peaks:
        return None
    least = 0.0
    for name, operator in row["operators"].items():
        integers = peaks["int8"] if not name.startswith("DEPTHWISE") else peaks.get("vnni", peaks["int8"])  # no tiles
        products = operator["float_macs"] / peaks["fma"] + operator["integer_macs"] / integers
        least += max(products, operator["nbytes"] / peaks["read_1_mib"]) if bytes_too else products
    return 1e3 * least or None


def best_ratio(row, peaks, bytes_too=False):
    least = least_ms(row, peaks, bytes_too)
    return least / row["xnnpack_ms"] if least else None


def mean(values):
    """The geometric mean of those that are known."""
    known = [value for value in values if value]
    return statistics.geometric_mean(known) if known else None


def summary(rows, data):
    lines = []
    for name in SETS:
        chosen = of_set(rows, name)
        if not chosen:
            continue
        ratios = {key: row["ratio"] for key, row in chosen.items()}
        worst = max(ratios, key=ratios.get)
        bests = [[best_ratio(row, data.get("peaks"), both) for row in chosen.values()] for both in (False, True)]
        below = sum(value < 1 for value in ratios.values())
        lines.append(
            (
                TITLES[name],
                number(mean(ratios.values())),
                *(number(mean(values)) for values in bests),
                f"{ratios[worst]:.3f} {worst}",
                f"{below} of {len(ratios)}",
            )
        )
    heads = ("ratio to XNNPACK, one thread", "geometric mean", "at peak", "roofline", "worst", "faster")
    return markdown(heads, lines)


def bounds(rows):
    """The median, and the worst, of what has a bound in every network."""
    good = {name: row for name, row in rows.items() if "error" not in row}
    long = {name: row for name, row in good.items() if row["ms"] >= LEAST_MS}
    large = {name: row for name, row in good.items() if row["constants_nbytes"] > 1e6}
    columns = (
        ("2 threads over one, networks of 3 ms and more", long, lambda row: row.get("two_threads"), min),
        ("2 threads beside a busy core, of 1 thread's time", long, lambda row: row.get("two_threads_beside_busy"), max),
        ("share of time in NumPy", good, lambda row: row["numpy_share"], max),
        ("packed over constants, above 1 MB", large, lambda row: row["packed_nbytes"] / row["constants_nbytes"], max),
    )
    lines = []
    for label, chosen, figure, worst in columns:
        values = {name: figure(row) for name, row in chosen.items() if figure(row) is not None}
        if values:
            name = worst(values, key=values.get)
            lines.append((label, f"{statistics.median(values.values()):.2f}", f"{values[name]:.2f} {name}"))
    return markdown(("in every network", "median", "worst"), lines)


def table(rows, peaks):
    lines = []
    for name, row in rows.items():
        least = least_ms(row, peaks)
        lines.append(
            (
                name,
                milliseconds(row["ms"]),
                milliseconds(row["xnnpack_ms"]),
                f"{row['ratio']:.3f}",
                f"{row['ratio_low']:.2f} .. {row['ratio_high']:.2f}",
                *(number(best_ratio(row, peaks, both)) for both in (False, True)),
                f"{100 * least / row['ms']:.0f} %" if least else "",
                f"{100 * row['numpy_share']:.1f} %",
            )
        )
    lines.append(("geometric mean", "", "", number(mean(row["ratio"] for row in rows.values())), *[""] * 5))
    heads = ("network", "ms", "XNNPACK ms", "ratio", "quartiles", "at peak", "roofline", "share of peak", "in NumPy")
    return markdown(heads, lines)


def operators(rows):
    """The slowest few of each network."""
    lines = []
    for name, row in rows.items():
        if "error" in row:
            continue
        total = sum(operator["ms"] for operator in row["operators"].values()) or 1
        told = []
        for label, operator in list(row["operators"].items())[:4]:
            macs = operator["integer_macs"] + operator["float_macs"]
            rate = f", {2e-6 * macs / operator['ms']:.3g} G/s" if macs and operator["ms"] else ""
            op, _, layer = label.partition(" ")
            layer = "" if layer == "numba" else f" in {layer}"
            told.append(f"{op}{layer} {100 * operator['ms'] / total:.0f} %{rate}")
        lines.append((name, "; ".join(told)))
    return markdown(("network", "share of the nodes' time, operations in a second"), lines, "---")


def threads(rows):
    lines = []
    for name, row in rows.items():
        if "error" not in row:
            long = row["ms"] >= LEAST_MS
            two, theirs, busy = (
                row.get(f"{key}two_threads{end}") for key, end in (("", ""), ("xnnpack_", ""), ("", "_beside_busy"))
            )
            lines.append(
                (
                    name,
                    *(number(value if long else None, "{:.2f}") for value in (two, theirs, busy)),
                    milliseconds(row["numpy_ms"]),
                    f"{row['numpy_ms'] / row['ms']:.1f}",
                    f"{row['numpy_to_builtin']:.2f}",
                )
            )
    heads = ("network", "2 threads", "XNNPACK", "beside a busy core", "NumPy ms", "/ ours", "/ builtin")
    return markdown(heads, lines)


def memory(rows):
    lines = []
    for name, row in rows.items():
        if "error" not in row:
            constants, packed = row["constants_nbytes"], row["packed_nbytes"]
            lines.append(
                (
                    name,
                    f"{constants / 2**20:.2f}",
                    f"{packed / 2**20:.2f}",
                    number(packed / constants if constants else None, "{:.2f}"),
                    f"{row['arena_nbytes'] / 1024:.0f}",
                    f"{row['workspace_nbytes'] / 1024:.0f}",
                    *(number(row["peak_mib"].get(runtime), "{:.0f}") for runtime in ("minitfl", "xnnpack")),
                )
            )
    heads = ("network", "constants MiB", "packed MiB", "ratio", "arena KiB", "workspace KiB", "peak MiB", "XNNPACK")
    return markdown(heads, lines)


def first_answers(rows, data):
    lines = []
    for name, row in rows.items():
        if "without_cache" in row:
            seconds, empty = row["cold_seconds"], row["without_cache"]
            values = [seconds.get(key) for key in ("minitfl", "xnnpack", "numpy")]
            lines.append((name, *(number(v) for v in (*values, empty.get("seconds"), empty.get("fast_seconds")))))
    heads = ("seconds from the start of a process", "minitfl", "XNNPACK", "NumPy alone", "empty cache", "full speed")
    yield from markdown(heads, lines)
    imports = data.get("imports", {})
    if imports:
        yield ""
        yield from markdown(("imports", "ms"), [(name, f"{value:.1f}") for name, value in imports.items()])


# ---- the picture

SIZE, EDGE = 480, 56
COLOURS = {"float32": "#3366cc", "int8": "#dc3912", "small weights": "#109618", "tiny": "#990099", "others": "#666666"}


def plot(data):
    """Our latency over XNNPACK's, both on logarithmic axes; below the line we are the faster."""
    rows = {name: row for name, row in data.get("networks", {}).items() if "error" not in row}
    times = [value for row in rows.values() for value in (row["ms"], row["xnnpack_ms"])] or [1.0]
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)) + 1e-9)
    scale = (SIZE - 2 * EDGE) / (high - low)

    def x(value):
        return EDGE + scale * (math.log10(value) - low)

    def y(value):
        return SIZE - x(value)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" font-family="sans-serif" font-size="11">',
        f'<rect width="{SIZE}" height="{SIZE}" fill="white"/>',
    ]
    for power in range(low, high + 1):
        at, mark = 10.0**power, f"{10.0**power:g}"
        lines += [
            f'<path d="M{x(at):.1f} {EDGE}V{SIZE - EDGE}M{EDGE} {y(at):.1f}H{SIZE - EDGE}" stroke="#ddd"/>',
            f'<text x="{x(at):.1f}" y="{SIZE - EDGE + 16}" text-anchor="middle">{mark}</text>',
            f'<text x="{EDGE - 6}" y="{y(at) + 4:.1f}" text-anchor="end">{mark}</text>',
        ]
    lines += [
        f'<path d="M{EDGE} {SIZE - EDGE}L{SIZE - EDGE} {EDGE}" stroke="black"/>',
        f'<text x="{SIZE / 2}" y="{SIZE - 14}" text-anchor="middle">XNNPACK, ms</text>',
        f'<text x="16" y="{SIZE / 2}" text-anchor="middle" transform="rotate(-90 16 {SIZE / 2})">minitfl, ms</text>',
    ]
    seen = []
    for name, row in sorted(rows.items()):
        kind = row["sets"][-1]
        seen += [kind] * (kind not in seen)
        told = f"<title>{html.escape(name)}: {row['ratio']:.3f}</title>"
        place = f'cx="{x(row["xnnpack_ms"]):.1f}" cy="{y(row["ms"]):.1f}"'
        lines.append(f'<circle {place} r="4" fill="{COLOURS[kind]}" fill-opacity="0.7">{told}</circle>')
    for n, kind in enumerate(seen):
        at = EDGE + 14 + 16 * n
        lines.append(f'<circle cx="{EDGE + 12}" cy="{at - 4}" r="4" fill="{COLOURS[kind]}"/>')
        lines.append(f'<text x="{EDGE + 22}" y="{at}">{TITLES[kind]}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"
