import RawWire

extension Report {
    /// A page for people: every case, what was seen, and its wire log in hex with the frames named.
    var html: String {
        let rows = outcomes.map { outcome in
            let state = outcome.verdict.isSkipped ? "skipped" : outcome.verdict.isPassed ? "passed" : "failed"
            return """
                <details class="\(state)"\(state == "failed" ? " open" : "")><summary><b>\(outcome.id)</b> <i>\(outcome.requirement) \
                \(outcome.level.rawValue)</i> <span>\(escaped(outcome.sentence))</span> \
                <em>\(outcome.behaviourWord)</em> <em>\(outcome.closingWord)</em> \
                <small>\(short(outcome.verdict.took))</small></summary>
                \(details(outcome.verdict))</details>
                """
        }
        return """
            <!doctype html>
            <html lang="en"><meta charset="utf-8"><title>Lifeline conformance: \(escaped(subject))</title>
            <style>
            body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
            summary, header { display: grid; grid-template-columns: 4.5rem 8.5rem 1fr 5rem 6rem 5rem; gap: .5rem; cursor: pointer; }
            header { position: sticky; top: 0; padding: .3rem .6rem .3rem calc(.6rem + 5px); background: #fff; }
            details { border-left: 5px solid #2a8a4a; padding: .15rem .6rem; margin: 1px 0; background: #f6f8f6; }
            details.failed { border-color: #c0392b; background: #fbeeec; }
            details.skipped { border-color: #999; color: #777; }
            i, em, small { font-style: normal; color: #555; font-size: 13px; }
            pre { font: 12px/1.45 ui-monospace, monospace; overflow-x: auto; background: #fff; padding: .5rem; }
            .sent { color: #1a4f8a; } .received { color: #7a3b00; } .complaint { color: #c0392b; }
            </style>
            <h1>Lifeline conformance</h1>
            <p>\(escaped(subject)): <b>\(passed.count)</b> passed, <b>\(failed.count)</b> failed,
            <b>\(skipped.count)</b> skipped, in \(short(took)). Behaviour and the way of closing are judged apart.
            Open a case to see what went over the wire; those that failed are open.</p>
            <header><b>Case</b> <i>Requirement</i> <span>What it proves</span> <em>Behaviour</em> <em>Closing</em> \
            <small>Time</small></header>
            \(rows.joined(separator: "\n"))
            </html>

            """
    }

    private func details(_ verdict: CaseVerdict) -> String {
        var parts: [String] = []
        if !verdict.complaint.isEmpty { parts.append("<p class=\"complaint\">\(escaped(verdict.complaint))</p>") }
        if case .skipped(let reason) = verdict.behaviour { parts.append("<p>\(escaped(reason))</p>") }
        for measurement in verdict.measurements {
            let samples = measurement.samples.map(short).joined(separator: ", ")
            parts.append(
                "<p>\(escaped(measurement.what)): promised between \(short(measurement.earliest)) and "
                    + "\(short(measurement.latest)), measured \(samples)</p>")
        }
        for (index, trace) in verdict.traces.enumerated() {
            parts.append("<pre>connection \(index + 1)\n\(lines(of: trace).joined(separator: "\n"))</pre>")
        }
        return parts.joined(separator: "\n")
    }

    /// Of a flood only the beginning is shown.
    private static let mostLines = 200

    private func lines(of trace: [Trace.Piece]) -> [String] {
        var sent = FrameNamer()
        var received = FrameNamer()
        var lines: [String] = []
        for entry in trace {
            let isSent = entry.direction == .sent
            let names = isSent ? sent.name(entry.bytes) : received.name(entry.bytes)
            let arrow = isSent ? "&rarr;" : "&larr;"
            let time = String(repeating: " ", count: max(0, 9 - short(entry.at).count)) + short(entry.at)
            let shown = entry.ending.map { "\($0)" } ?? hex(entry.bytes.prefix(96))
            let rest = entry.bytes.count > 96 ? " ... (\(entry.bytes.count) bytes)" : ""
            let label = names.isEmpty ? "" : " \(escaped(names.joined(separator: ", "))):"
            lines.append(
                "<span class=\"\(isSent ? "sent" : "received")\">\(time) \(arrow)\(label)  \(shown)\(rest)</span>")
            if lines.count == Report.mostLines {
                lines.append("(\(trace.count - lines.count) more)")
                break
            }
        }
        return lines
    }
}

/// Names the frames of one direction as their last byte comes.
private struct FrameNamer {
    private var rest: [UInt8] = []
    private var hasPreface = false

    mutating func name(_ bytes: [UInt8]) -> [String] {
        // What is not ours is not named, and a flood is not kept.
        guard rest.count < 1 << 21 else { return [] }
        rest += bytes
        var names: [String] = []
        if !hasPreface, rest.count >= 8 {
            guard rest.starts(with: RawFrame.preface) else { return [] }
            hasPreface = true
            rest.removeFirst(8)
            names.append("preface")
        }
        guard hasPreface else { return [] }
        while let frame = RawFrame(parsing: rest[...]) {
            rest.removeFirst(RawFrame.headerLength + frame.payload.count)
            names.append("\(frame)")
        }
        return names
    }
}
