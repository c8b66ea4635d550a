#!/usr/bin/env python3
"""Sums the lines that tests run, by part: coverage.py REPORT LEAST. Fails where a part has less than LEAST percent.

REPORT is what `cargo llvm-cov report --json` writes. Of each part it prints the files with lines that no test runs, and, with the
whole report instead of its summary, which lines these are.
"""

import json
import sys

PARTS = {
    "core": ["crates/im2col/src/"],
    "parsers": [f"crates/im2col-train/src/{name}" for name in
                ["idx.", "stream.", "checkpoint.", "weights.", "weights/", "picture.", "picture/", "file."]],
}


def missed(file):
    """The first and last line of each run of lines that no test runs."""
    counts = {}
    for line, _, count, has_count, *_ in file.get("segments", []):
        if has_count:
            counts[line] = max(counts.get(line, 0), count)
    lines = sorted(line for line, count in counts.items() if count == 0)
    return " ".join(map(str, lines))


def main(report, least):
    with open(report, encoding="utf-8") as text:
        files = json.load(text)["data"][0]["files"]
    is_bad = False
    for part, places in PARTS.items():
        total = run = 0
        for file in files:
            name = file["filename"]
            if not any(place in name for place in places) or name.endswith("/tests.rs"):
                continue
            lines = file["summary"]["lines"]
            total += lines["count"]
            run += lines["covered"]
            if lines["covered"] < lines["count"]:
                short = name[name.index("crates/"):]
                print(f"{lines['count'] - lines['covered']:5} of {lines['count']:5} not run: {short}: {missed(file)}")
        percent = 100 * run / max(total, 1)
        print(f"soak: {part}: {percent:.2f} % of {total} lines, at least {least}")
        is_bad |= percent < float(least)
    sys.exit(is_bad)


if __name__ == "__main__":
    main(*sys.argv[1:])
