import RawWire

extension CaseOutcome {
    var state: String { verdict.isSkipped ? "skipped" : verdict.isPassed ? "passed" : "failed" }

    /// Where the case is in the page.
    var anchor: String { "case-\(id)" }

    /// The line that stands for the case.
    var head: String {
        let mark = ["passed": "&#10003;", "failed": "&#10007;", "skipped": "&#8211;"][state]!
        return "<span class=\"mark\"><span aria-hidden=\"true\">\(mark)</span> \(state)</span> "
            + "<span class=\"id\">\(escaped(id))</span> <span class=\"what\">\(escaped(sentence))</span> "
            + "<span class=\"level\">\(escaped(requirement)) \(level.rawValue)</span> "
            + "<span class=\"time\">\(short(verdict.took))</span>"
    }

    /// The case among all cases of its section: what failed stands in full at the top of the page.
    var listed: String {
        if state == "failed" {
            return "<p class=\"case failed\"><a href=\"#\(anchor)\">\(head)</a></p>"
        }
        return "<details class=\"case \(state)\" id=\"\(anchor)\"><summary>\(head)</summary>\n"
            + "\(body(isOpen: true))\n</details>"
    }

    /// What was seen: the verdicts, the times that were measured, and the wire logs.
    func body(isOpen: Bool) -> String {
        if case .skipped(let reason) = verdict.behaviour { return "<p>Not tried: \(escaped(reason)).</p>" }
        let closing = closingWord.isEmpty ? "not judged" : closingWord
        var parts = ["<p class=\"verdicts\">Behaviour: \(behaviourWord). Closing: \(closing).</p>"]
        if !verdict.measurements.isEmpty { parts.append(times) }
        let logs = verdict.traces.enumerated().map { index, trace in
            table(of: WireLog(trace), title: verdict.traces.count == 1 ? "Connection" : "Connection \(index + 1)")
        }
        if isOpen || logs.isEmpty {
            parts += logs
        } else {
            parts.append(
                "<details class=\"wire\"><summary>\(count(logs.count, "connection"))</summary>"
                    + "\(logs.joined(separator: "\n"))</details>")
        }
        return parts.joined(separator: "\n")
    }

    private var times: String {
        let rows = verdict.measurements.map { measurement in
            let samples =
                measurement.samples.isEmpty ? "nothing" : measurement.samples.map(short).joined(separator: ", ")
            return "<tr><th scope=\"row\">\(escaped(measurement.what))</th><td>\(short(measurement.earliest)) to "
                + "\(short(measurement.latest))</td><td>\(samples)</td></tr>"
        }
        return "<table class=\"times\"><caption>Times</caption><thead><tr><th scope=\"col\">What</th>"
            + "<th scope=\"col\">Promised</th><th scope=\"col\">Measured</th></tr></thead>"
            + "<tbody>\(rows.joined())</tbody></table>"
    }

    // MARK: The wire

    private func table(of log: WireLog, title: String) -> String {
        var rows = log.entries.map { entry in
            let isSent = entry.direction == .sent
            return
                "<tr class=\"\(isSent ? "sent" : "got")\"><td><b>\(isSent ? "sent" : "got")</b> \(short(entry.at))</td>"
                + "<td>\(contents(of: entry))</td></tr>"
        }
        if log.omitted > 0 {
            rows.append("<tr><td colspan=\"2\">\(count(log.omitted, "more piece"))</td></tr>")
        }
        if rows.isEmpty { rows.append("<tr><td colspan=\"2\">nothing</td></tr>") }
        return "<table class=\"log\"><caption>\(title)</caption><thead><tr><th scope=\"col\">The judge</th>"
            + "<th scope=\"col\">Frames</th></tr></thead>\n"
            + "<tbody>\(rows.joined(separator: "\n"))</tbody></table>"
    }

    /// Of a flood of frames in one piece only the first are shown.
    private static let mostItems = 20

    private func contents(of entry: WireLog.WireEntry) -> String {
        var lines = entry.items.prefix(CaseOutcome.mostItems).map(line)
        if entry.items.count > CaseOutcome.mostItems {
            lines.append("and \(count(entry.items.count - CaseOutcome.mostItems, "more frame"))")
        }
        if entry.items.isEmpty, entry.count > 0 { lines.append(line("part of a frame", [("bytes", "\(entry.count)")])) }
        if let ending = entry.ending { lines.append(ending == .end ? "end of stream" : "reset") }
        let shown = lines.map { "<div>\($0)</div>" }.joined()
        guard entry.count > 0 else { return shown }
        let rest = entry.count > entry.bytes.count ? " ... (\(entry.count) bytes)" : ""
        let pieces = entry.pieces > 1 ? " (\(entry.pieces) pieces, the last at \(short(entry.lastAt)))" : ""
        return "\(shown)<code class=\"hex\">\(hex(entry.bytes))\(rest)\(pieces)</code>"
    }

    private func line(_ item: WireLog.WireItem) -> String {
        switch item {
        case .preface: return line("preface", [])
        case .noPreface(let bytes): return line("no preface", [("bytes", readable(bytes[...]))])
        case .frame(let frame): return line("\(frame.type)", frame.fields.map { ($0.name, $0.value) })
        case .unfinished(let bytes):
            guard bytes.count >= RawFrame.headerLength else {
                return line("unfinished", [("header", "\(bytes.count) of \(RawFrame.headerLength) bytes")])
            }
            let frame = RawFrame(beginning: bytes)
            let came = "\(frame.payload.count) of \(frame.claimedLength ?? 0) bytes"
            return line("\(frame.type)", frame.fields.map { ($0.name, $0.value) } + [("unfinished", came)])
        }
    }

    /// A short value stays on one line with its name.
    private func line(_ name: String, _ fields: [(name: String, value: String)]) -> String {
        let fields = fields.map { field in
            let value = escaped(field.value)
            let kept = field.value.count <= 24 ? String(value.map { $0 == " " ? "\u{A0}" : $0 }) : value
            return " <i>\(escaped(field.name))</i>\u{A0}\(kept)"
        }
        return "<b>\(escaped(name))</b>" + fields.joined()
    }
}
