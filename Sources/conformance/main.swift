import Arguments
import Basics
import Inheritance
import Posix
import RawWire
import Synchronization

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

func save(_ text: String, to path: String?) {
    guard let path else { return }
    do throws(SystemError) {
        try writeFile(at: path, Array(text.utf8))
    } catch {
        fail(.ioError, "cannot write \(path): \(error.text)")
    }
}

/// Lists or runs the cases that the settings choose, and exits.
func judge<B: TestBench>(
    _ cases: [Case<B>], _ subject: String, _ settings: ConformanceSettings, invisible: [String: String],
    bench: @escaping @Sendable () throws -> B, probe: @escaping @Sendable (B) throws -> Void
) throws -> Never {
    let chosen = cases.filter { tried in
        settings.only.isEmpty || settings.only.contains { tried.id.hasPrefix($0) || tried.requirement.hasPrefix($0) }
    }
    guard !chosen.isEmpty else { fail(.usage, "no case begins with \(settings.only.joined(separator: " or "))") }
    if let path = settings.coverage {
        do throws(SystemError) {
            let document = String(decoding: try contents(ofFile: path, most: 1 << 24), as: UTF8.self)
            say(Coverage.report(on: document, covered: Set(cases.map(\.requirement)), invisible: invisible))
        } catch {
            fail(.ioError, "cannot read \(path): \(error.text)")
        }
        exitProcess(ExitStatus.ok.rawValue)
    }
    if settings.list {
        for tried in chosen { say("\(tried.id)\t\(tried.requirement)\t\(tried.level.rawValue)\t\(tried.sentence)\n") }
        exitProcess(ExitStatus.ok.rawValue)
    }
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
    save(report.junit, to: settings.junit)
    save(report.json, to: settings.json)
    save(report.html, to: settings.html)
    say(report.summary)
    exitProcess(report.faults.isEmpty ? 0 : 1)
}

func judgeServer(at operands: [String], _ settings: ConformanceSettings) throws -> Never {
    guard operands.count == 1, let address = Address(operands[0]) else {
        throw UsageError("conformance server takes one address, HOST:PORT or unix:/path; see --help")
    }
    let times = Times(scale: settings.scale)
    let known = settings.known
    let chop = settings.chop
    let bench: @Sendable () -> ServerBench = { ServerBench(address, known: known, times: times, chop: chop) }
    if !settings.list, settings.coverage == nil {
        do {
            try bench().probe()
        } catch {
            fail(.unavailable, "there is no server to judge at \(address): \(error)")
        }
    }
    try judge(
        Case<ServerBench>.all, "server \(address)", settings, invisible: ServerCoverage.invisible, bench: bench
    ) { try $0.probe() }
}

func judgeClient(_ command: [String], _ settings: ConformanceSettings) throws -> Never {
    guard !command.isEmpty || settings.list || settings.coverage != nil else {
        throw UsageError("conformance client takes a command behind --: conformance client -- COMMAND ...; see --help")
    }
    guard settings.port == 0 || settings.jobs == 1 else {
        throw UsageError("--port \(settings.port) serves one case at a time: leave it out, or leave --jobs out")
    }
    let times = Times(scale: settings.scale)
    let port = settings.port
    let chop = settings.chop
    let subject = "client " + command.joined(separator: " ")
    try judge(Case<ClientBench>.all, subject, settings, invisible: ClientCoverage.invisible) {
        try ClientBench(command, port: port, times: times, chop: chop)
    } probe: {
        try $0.end()
    }
}

ProcessStart.begin(.client)
var settings = ConformanceSettings()
do {
    switch try ConformanceSettings.command.parse(try Argument.ownTexts(), into: &settings) {
    case .help: say(ConformanceSettings.command.help)
    case .version: say("conformance (Lifeline) \(lifelineVersion)\n")
    case .generate(let what): say(ConformanceSettings.command.generated(what, for: "conformance") + "\n")
    case .run:
        switch try settings.subject() {
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
