import Basics
import RawWire

/// The report of a run: a summary for people, JSON, and JUnit.
struct Report: Sendable {
    /// What was judged: `server 127.0.0.1:7400`, or `client COMMAND`.
    let subject: String
    let outcomes: [CaseOutcome]
    let took: Duration
    /// Whether a failed SHOULD counts.
    let isStrict: Bool

    var passed: [CaseOutcome] { outcomes.filter(\.verdict.isPassed) }
    var skipped: [CaseOutcome] { outcomes.filter(\.verdict.isSkipped) }
    var failed: [CaseOutcome] { outcomes.filter { !$0.verdict.isPassed && !$0.verdict.isSkipped } }
    /// The failures that decide the exit status.
    var faults: [CaseOutcome] { failed.filter { isStrict || $0.level == .must } }

    /// The last lines: what failed, the lateness that was measured, and the numbers.
    var summary: String {
        var lines = failed.isEmpty ? [] : ["", "failed:"]
        for outcome in failed {
            lines.append("  \(outcome.id)  \(outcome.requirement) \(outcome.level.rawValue)  \(outcome.sentence)")
            lines.append("      \(outcome.verdict.complaint)")
        }
        if let late = latenessSentence { lines += ["", late] }
        lines += [
            "", "\(subject), \(short(took))",
            "\(passed.count) passed, \(failed.count) failed, \(skipped.count) skipped",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    /// How long after its earliest instant each measured thing happened, the best sample of each; nil where nothing was
    /// measured.
    var latenessSentence: String? {
        let late = outcomes.flatMap(\.verdict.measurements).compactMap { measurement in
            measurement.samples.min().map { $0 - measurement.earliest }
        }.sorted()
        guard let worst = late.last else { return nil }
        return "lateness over \(count(late.count, "deadline")): median \(short(late[late.count / 2])), "
            + "worst \(short(worst))"
    }
}

/// `1.2 ms` or `3.4 s`.
func short(_ duration: Duration) -> String {
    let milliseconds = duration / .milliseconds(1)
    func rounded(_ number: Double) -> String { "\((number * 10).rounded() / 10)" }
    return milliseconds < 1000 ? "\(rounded(milliseconds)) ms" : "\(rounded(milliseconds / 1000)) s"
}

extension CaseOutcome {
    /// The line in the terminal.
    var line: String {
        let mark = verdict.isSkipped ? "-" : verdict.isPassed ? "ok" : "FAILED"
        var line = "\(pad(mark, 6)) \(pad(id, 8)) \(pad(requirement, 8)) \(pad(level.rawValue, 6)) \(sentence)"
        if case .skipped(let reason) = verdict.behaviour { line += " (skipped: \(reason))" }
        if !verdict.isPassed, !verdict.isSkipped { line += "\n       \(verdict.complaint)" }
        return line
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// `behaviour` and `closing` in a word each.
    var behaviourWord: String {
        switch verdict.behaviour {
        case .right: "right"
        case .wrong: "wrong"
        case .skipped: "skipped"
        }
    }
    var closingWord: String {
        switch verdict.closing {
        case .notJudged: ""
        case .right: "right"
        case .wrongCode: "wrong code"
        case .unclean: "unclean"
        }
    }
}

// MARK: Files

extension Report {
    /// For machines: all of it but the wire logs.
    var json: String {
        let cases = outcomes.map { outcome in
            let times = outcome.verdict.measurements.map { measurement in
                "{\"what\":\(measurement.what.quotedAsJSON),\"earliest_ms\":\(number(measurement.earliest)),"
                    + "\"latest_ms\":\(number(measurement.latest)),"
                    + "\"samples_ms\":[\(measurement.samples.map(number).joined(separator: ","))]}"
            }
            return "    {\"id\":\(outcome.id.quotedAsJSON),\"requirement\":\(outcome.requirement.quotedAsJSON),"
                + "\"level\":\"\(outcome.level.rawValue)\",\"sentence\":\(outcome.sentence.quotedAsJSON),"
                + "\"behaviour\":\"\(outcome.behaviourWord)\",\"closing\":\"\(outcome.closingWord)\","
                + "\"passed\":\(outcome.verdict.isPassed),\"complaint\":\(outcome.verdict.complaint.quotedAsJSON),"
                + "\"ms\":\(number(outcome.verdict.took)),\"times\":[\(times.joined(separator: ","))]}"
        }
        return "{\n  \"subject\":\(subject.quotedAsJSON),\"ms\":\(number(took)),\"passed\":\(passed.count),"
            + "\"failed\":\(failed.count),\"skipped\":\(skipped.count),\n  \"cases\":[\n"
            + cases.joined(separator: ",\n") + "\n  ]\n}\n"
    }

    /// For build servers.
    var junit: String {
        let cases = outcomes.map { outcome in
            let head =
                "  <testcase classname=\"\(escaped("section " + outcome.requirement))\" "
                + "name=\"\(escaped("\(outcome.id) \(outcome.sentence)"))\" time=\"\(outcome.verdict.took / .seconds(1))\""
            if case .skipped(let reason) = outcome.verdict.behaviour {
                return "\(head)><skipped message=\"\(escaped(reason))\"/></testcase>"
            }
            if outcome.verdict.isPassed { return "\(head)/>" }
            return "\(head)><failure message=\"\(escaped(outcome.verdict.complaint))\"/></testcase>"
        }
        return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"\(escaped(subject))\" "
            + "tests=\"\(outcomes.count)\" failures=\"\(failed.count)\" skipped=\"\(skipped.count)\" "
            + "time=\"\(took / .seconds(1))\">\n\(cases.joined(separator: "\n"))\n</testsuite>\n"
    }

    private func number(_ duration: Duration) -> String { "\(((duration / .milliseconds(1)) * 1000).rounded() / 1000)" }
}

/// For XML and HTML. What neither may contain, and what turns the direction of the text around it, is U+FFFD.
func escaped(_ text: String) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "<": escaped += "&lt;"
        case ">": escaped += "&gt;"
        case "&": escaped += "&amp;"
        case "\"": escaped += "&quot;"
        case let scalar where [.control, .format, .unassigned].contains(scalar.properties.generalCategory):
            escaped += "\u{FFFD}"
        default: escaped.unicodeScalars.append(scalar)
        }
    }
    return escaped
}
