"""What came of a run: medians, ratios and their spread, as a table, as Markdown, and as a plot."""

import statistics
from xml.sax.saxutils import escape

from opponents import LOOP, OURS, POOL, SHARED

OWN = (OURS, POOL, SHARED)
COMPARED = {OURS: ("c", "tcpserver", "xinetd", "socat", "swiftnio", LOOP), POOL: ("swiftnio",),
            SHARED: (LOOP, "swiftnio")}


def figure(value, metric):
    return f"{value:,.{metric.digits}f}"


def median(results, row, name, metric):
    values = [each[metric] for each in results.get(row, {}).get(name, {}).get("rounds", [])
              if each and each[metric] is not None]
    return statistics.median(values) if values else None


def ratios(results, row, ours, against, metric):
    """Of each round in which both were measured."""
    of = results.get(row, {})
    pairs = zip(of.get(ours, {}).get("rounds", []), of.get(against, {}).get("rounds", []))
    return [a[metric] / b[metric] for a, b in pairs if a and b and (a[metric] or 0) > 0 and (b[metric] or 0) > 0]


def comparisons(rows, results):
    """Each ratio with its target, and each target that is about a figure alone."""
    lines = []
    for row in rows:
        for metric in row.metrics:
            wanted = {(t.ours, t.against): t for t in row.targets if t.metric == metric.name}
            for ours in OWN:
                own = median(results, row.name, ours, metric.name)
                if own is None:
                    continue
                alone = wanted.get((ours, None))
                if alone or not metric.has_ratio and metric is row.metrics[0]:
                    lines.append(Comparison(row, metric, ours, None, own, None, [own], alone))
                if not metric.has_ratio:
                    continue
                for against in row.who:
                    target = wanted.get((ours, against))
                    values = ratios(results, row.name, ours, against, metric.name)
                    # Against what it is like: a process for each connection forks, and a shared one is an event loop.
                    if against in OWN or not values or not target and against not in COMPARED[ours]:
                        continue
                    theirs = median(results, row.name, against, metric.name)
                    lines.append(Comparison(row, metric, ours, against, own, theirs, values, target))
    return lines


class Comparison:
    def __init__(self, row, metric, ours, against, own, theirs, values, target):
        self.row, self.metric, self.ours, self.against = row, metric, ours, against
        self.own, self.theirs, self.values, self.target = own, theirs, values, target
        self.value = statistics.median(values)

    @property
    def verdict(self):
        if self.target is None:
            return ""
        return "met" if self.target.is_met(self.value) else "NOT MET"

    def cells(self):
        """Row, ours, its figure, against, its figure, ratio, spread, target, verdict."""
        spread = f"{min(self.values):.2f}..{max(self.values):.2f}" if self.against else ""
        return [
            self.row.title, self.ours, f"{figure(self.own, self.metric)} {self.metric.unit}", self.against or "",
            figure(self.theirs, self.metric) if self.theirs is not None else "",
            f"{self.value:.2f}" if self.against else "", spread, str(self.target or ""), self.verdict,
        ]


HEADS = ["", "who", "median", "against", "median", "ratio", "spread", "target", ""]


def notes(results, left_out):
    lines = [f"{name} is left out: {why.splitlines()[0]}" for name, why in left_out.items()]
    for row, measured in results.items():
        for name, result in measured.items():
            for note in sorted(set(result["notes"])):
                count = result["notes"].count(note)
                lines.append(f"{row}, {name}: {note} ({count} of {len(result['rounds'])} rounds)")
    return lines


def text(rows, results, left_out, facts):
    table = [HEADS] + [each.cells() for each in comparisons(rows, results)]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEADS))]
    lines = []
    previous = None
    for cells in table:
        shown = list(cells)
        if cells[0] == previous:
            shown[0] = ""
        previous = cells[0]
        right = {2, 4, 5}
        lines.append("  ".join(c.rjust(w) if i in right else c.ljust(w)
                               for i, (c, w) in enumerate(zip(shown, widths))).rstrip())
    lines.append("")
    lines.append("A ratio (who / against) is the median over the rounds, its spread the least and the most of them.")
    lines += [f"{name}: {value}" for name, value in facts.items()]
    lines += notes(results, left_out)
    return "\n".join(lines)


def markdown(rows, results, left_out, facts):
    lines = ["| " + " | ".join(head or " " for head in HEADS) + " |", "|" + "---|" * len(HEADS)]
    lines += ["| " + " | ".join(each.cells()) + " |" for each in comparisons(rows, results)]
    lines.append("")
    lines.append(f"{facts['rounds']} rounds of {facts['seconds']} s; {facts['processor']}, {facts['cores']} cores, "
                 f"Linux {facts['kernel']}, {facts['date']}.")
    for name, why in left_out.items():
        lines.append(f"{name} is left out: {why.splitlines()[0]}.")
    return "\n".join(lines)


# The plot.

COLOURS = {"c": "#0072b2", LOOP: "#56b4e9", "swiftnio": "#d55e00", "tcpserver": "#009e73", "xinetd": "#cc79a7", "socat": "#e69f00"}
WIDTH, LEFT, RIGHT, BAR, GAP, GROUP = 1050, 440, 150, 11, 3, 12
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 10px; fill: #59636e }
.head { font-size: 15px; font-weight: 600 }
.line { stroke: #d1d9e0; stroke-width: 1 }
.one { stroke: #1f2328; stroke-width: 1.5 }
.whisker { stroke: #1f2328; stroke-width: 1.2; fill: none }
.target { stroke: #cf222e; stroke-width: 2 }
.ground { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .small { fill: #9198a1 } .line { stroke: #3d444d } .one { stroke: #f0f6fc }
  .whisker { stroke: #f0f6fc } .target { stroke: #ff7b72 } .ground { fill: #0d1117 }
}
"""


def svg(rows, results, facts):
    lines = [each for each in comparisons(rows, results) if each.against]
    parts, y = [], 12
    panels = [("Requests a second, Lifeline / other: more is better", [e for e in lines if e.metric.more]),
              ("Time, memory, processor, Lifeline / other: less is better", [e for e in lines if not e.metric.more])]
    shown = sorted({each.against for each in lines}, key=list(COLOURS).index)
    x = 80
    parts.append(f'<text class="small" x="16" y="{y + 9}">against</text>')
    for name in shown:
        parts.append(f'<rect x="{x}" y="{y}" width="11" height="11" rx="2" fill="{COLOURS[name]}"/>'
                     f'<text x="{x + 16}" y="{y + 10}">{escape(name)}</text>')
        x += 40 + 7 * len(name)
    parts.append(f'<line class="whisker" x1="{x}" x2="{x + 20}" y1="{y + 6}" y2="{y + 6}"/>'
                 f'<text class="small" x="{x + 25}" y="{y + 10}">least to most of the rounds</text>')
    x += 175
    parts.append(f'<line class="target" x1="{x}" x2="{x}" y1="{y}" y2="{y + 12}"/>'
                 f'<text class="small" x="{x + 8}" y="{y + 10}">target</text>')
    y += 32
    for title, panel in panels:
        if panel:
            y = _panel(parts, title, panel, y)
    caption = (f"{facts['rounds']} rounds of {facts['seconds']} s, {facts['processor']}, {facts['cores']} cores, "
               f"Linux {facts['kernel']}, {facts['date']}")
    parts.append(f'<text class="small" x="16" y="{y + 4}">{escape(caption)}</text>')
    y += 18
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" '
            f'role="img" aria-label="Lifeline measured against others">\n<style>{STYLE}</style>\n'
            f'<rect class="ground" width="{WIDTH}" height="{y}" rx="6"/>\n' + "\n".join(parts) + "\n</svg>\n")


def _ticks(least, most):
    """Steps of a scale on which twice is as far as half."""
    known = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 50, 100]
    return [t for t in known if least <= t <= most]


def _panel(parts, title, panel, y):
    from math import log2
    values = [v for each in panel for v in each.values] + [1.0]
    values += [t for each in panel if each.target for t in (each.target.least, each.target.most) if t]
    least, most = min(values) / 1.1, max(values) * 1.1
    across = WIDTH - LEFT - RIGHT

    def place(value):
        return LEFT + across * (log2(value) - log2(least)) / (log2(most) - log2(least))

    parts.append(f'<text class="head" x="16" y="{y + 12}">{escape(title)}</text>')
    y += 30
    top = y
    body = []
    previous = None
    for each in panel:
        key = (each.row.name, each.ours, each.metric.name)
        if key != previous:
            y += GROUP if previous else 0
            name = each.row.title if each.metric.more else f"{each.row.title}: {each.metric.unit}"
            if each.ours != OURS:
                name += ", " + each.ours.removeprefix(f"{OURS}-")
            body.append(f'<text x="{LEFT - 10}" y="{y + 10}" text-anchor="end">{escape(name)}</text>')
            previous = key
        start, end = sorted((place(1), place(each.value)))
        middle = y + BAR / 2
        low, high = place(min(each.values)), place(max(each.values))
        body.append(f'<rect x="{start:.1f}" y="{y}" width="{max(end - start, 1):.1f}" height="{BAR}" rx="1.5" '
                    f'fill="{COLOURS[each.against]}"/>')
        body.append(f'<path class="whisker" d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 3}v6'
                    f'M{high:.1f} {middle - 3}v6"/>')
        label = f"{each.value:.2f}"
        if each.target:
            at = place(each.target.least if each.target.least is not None else each.target.most)
            body.append(f'<line class="target" x1="{at:.1f}" x2="{at:.1f}" y1="{y - 1}" y2="{y + BAR + 1}"/>')
            label += f"  ({str(each.target).replace('>=', '≥').replace('<=', '≤')} {each.verdict.lower()})"
        body.append(f'<text class="small" x="{WIDTH - RIGHT + 12}" y="{y + 9}">{escape(label)}</text>')
        y += BAR + GAP
    y += 4
    for tick in _ticks(least, most):
        kind = "one" if tick == 1 else "line"
        parts.append(f'<line class="{kind}" x1="{place(tick):.1f}" x2="{place(tick):.1f}" y1="{top - 6}" y2="{y}"/>'
                     f'<text class="small" x="{place(tick):.1f}" y="{y + 12}" text-anchor="middle">{tick:g}</text>')
    parts += body
    return y + 34
