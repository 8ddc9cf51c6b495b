import Arguments
import Basics
import Inheritance
import Posix
import RawWire
import Synchronization
import SystemTLS

/// Prints an error on standard error and exits with `status`.
func fail(_ status: ExitStatus, _ text: String) -> Never {
    try? StandardStream.error.write("conformance: \(text)\n".utf8)
    exitProcess(status.rawValue)
}

func say(_ text: String) {
    do throws(SystemError) {
        try StandardStream.output.write(text.utf8)
    } catch {
        fail(.ioError, "cannot write to standard output: \(error.text)")
    }
}

/// Fails where a report could not be written, before minutes are spent on it.
func checkReports(_ settings: ConformanceSettings) {
    for path in [settings.junit, settings.json, settings.html].compactMap(\.self) {
        do throws(SystemError) {
            try ensureWritable(path)
        } catch {
            fail(.ioError, "cannot write \(path): \(error.text)")
        }
    }
}

/// Writes what was asked for, and then the summary, which is said whether or not that can be done.
func save(_ report: Report, _ settings: ConformanceSettings) {
    var complaints: [String] = []
    for (path, text) in [(settings.junit, report.junit), (settings.json, report.json), (settings.html, report.html)] {
        guard let path else { continue }
        do throws(SystemError) {
            try writeFile(at: path, Array(text.utf8))
        } catch {
            complaints.append("cannot write \(path): \(error.text)")
        }
    }
    say(report.summary)
    if !complaints.isEmpty { fail(.ioError, complaints.joined(separator: "; ")) }
}

/// Runs the cases that the settings choose, and exits.
func judge<B: TestBench>(
    _ cases: [Case<B>], _ subject: String, _ settings: ConformanceSettings,
    bench: @escaping @Sendable () throws -> B, probe: @escaping @Sendable (B) throws -> Void
) throws -> Never {
    let chosen = settings.chosen(of: cases)
    let start = SuspendingClock.now
    let runner = Runner(cases: chosen, jobs: settings.jobs, bench: bench, probe: probe) { say($0.line + "\n") }
    var outcomes = try runner.run()
    for _ in 0..<settings.again {
        let failed = Set(outcomes.filter { !$0.verdict.isPassed && !$0.verdict.isSkipped }.map(\.id))
        guard !failed.isEmpty else { break }
        say("again, one at a time:\n")
        let alone = Runner(cases: chosen.filter { failed.contains($0.id) }, jobs: 1, bench: bench, probe: probe) {
            say($0.line + "\n")
        }
        let repeated = Dictionary(uniqueKeysWithValues: try alone.run().map { ($0.id, $0) })
        outcomes = outcomes.map { repeated[$0.id] ?? $0 }
    }
    let report = Report(subject: subject, outcomes: outcomes, took: start.age, isStrict: settings.isStrict)
    save(report, settings)
    exitProcess(report.faults.isEmpty ? 0 : 1)
}

func judgeServer(at operands: [String], _ settings: ConformanceSettings) throws -> Never {
    let local = "localhost:"
    let text = operands.first.map { $0.hasPrefix(local) ? "127.0.0.1:" + $0.dropFirst(local.count) : $0 }
    guard operands.count == 1, let address = text.flatMap({ Address($0) }), address.isNumeric else {
        let typed = operands.joined(separator: " ")
        throw UsageError(
            (typed.isEmpty ? "" : "'\(typed)' is no numeric address with a port: ")
                + "conformance server takes one address, such as 127.0.0.1:7400, [::1]:7400 or unix:/path; see --help")
    }
    let times = Times(scale: settings.scale)
    let known = settings.known
    let chop = settings.chop
    let bench: @Sendable () -> ServerBench = { ServerBench(address, known: known, times: times, chop: chop) }
    do {
        try bench().probe()
    } catch {
        fail(.unavailable, "there is no server to judge at \(address): \(error)")
    }
    try judge(Case<ServerBench>.all, "server \(address)", settings, bench: bench) { try $0.probe() }
}

func judgeClient(_ command: [String], _ settings: ConformanceSettings) throws -> Never {
    guard !command.isEmpty else {
        throw UsageError("conformance client takes a command behind --: conformance client -- COMMAND ...; see --help")
    }
    guard settings.port == 0 || settings.jobs == 1 else {
        throw UsageError("--port \(settings.port) serves one case at a time: leave it out, or leave --jobs out")
    }
    let times = Times(scale: settings.scale)
    let port = settings.port
    let chop = settings.chop
    let tls: TLSContext?
    do {
        tls = try settings.tls.map { try TLSContext($0) }
    } catch {
        throw UsageError("--tls: \(error)")
    }
    let subject = "client " + command.joined(separator: " ")
    let bench: @Sendable () throws -> ClientBench = {
        try ClientBench(command, port: port, times: times, chop: chop, tls: tls)
    }
    do {
        try FirstConnection.check(try bench())
    } catch {
        fail(.unavailable, "there is no client to judge in '\(command.joined(separator: " "))': \(error)")
    }
    try judge(Case<ClientBench>.all, subject, settings, bench: bench) { try $0.end() }
}

ProcessStart.begin(.client, in: "conformance")
var settings = ConformanceSettings()
do {
    switch try ConformanceSettings.command.parse(try Argument.ownTexts(), into: &settings) {
    case .help: say(ConformanceSettings.command.help)
    case .version: say("conformance (Lifeline) \(lifelineVersion)\n")
    case .generate(let what): say(ConformanceSettings.command.generated(what, for: "conformance") + "\n")
    case .run:
        if settings.onlyPrints { try settings.printLists() }
        let subject = try settings.subject()
        checkReports(settings)
        switch subject {
        case (.server, let rest): try judgeServer(at: rest, settings)
        case (.client, let rest): try judgeClient(rest, settings)
        }
    }
} catch let error as UsageError {
    fail(.usage, error.description)
} catch {
    fail(.software, "\(error)")
}
exitProcess(ExitStatus.ok.rawValue)
