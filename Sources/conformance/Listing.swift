import Arguments
import Posix

/// What is printed of the cases without running one: it needs neither an address nor a command.
struct Listing {
    let subject: ConformanceSettings.Subject
    let settings: ConformanceSettings

    /// Prints the cases, or the requirements without one, as the settings say.
    func show() {
        switch subject {
        case .server: show(Case<ServerBench>.all, invisible: ServerCoverage.invisible)
        case .client: show(Case<ClientBench>.all, invisible: ClientCoverage.invisible)
        }
    }

    private func show<B: TestBench>(_ cases: [Case<B>], invisible: [String: String]) {
        if let path = settings.coverage { return report(on: path, cases, invisible) }
        for tried in settings.chosen(of: cases) {
            say("\(tried.id)\t\(tried.requirement)\t\(tried.level.rawValue)\t\(tried.sentence)\n")
        }
    }

    private func report<B: TestBench>(on path: String, _ cases: [Case<B>], _ invisible: [String: String]) {
        do throws(FileReadError) {
            let bytes = try contents(ofTextFile: path, most: 1 << 24, patience: .seconds(2))
            let document = String(decoding: bytes, as: UTF8.self)
            guard !Coverage.requirements(in: document).isEmpty else {
                fail(.usage, "--coverage \(path): there is no requirement in it, such as **5.5-1**: is it Protocol.md?")
            }
            say(Coverage.report(on: document, covered: Set(cases.map(\.requirement)), invisible: invisible))
        } catch {
            fail(.noInput, "cannot read \(path): \(error.text)")
        }
    }
}

extension ConformanceSettings {
    /// Whether something is printed, and nothing judged.
    var onlyPrints: Bool { list || coverage != nil }

    /// The cases that --only leaves; it has to leave one.
    func chosen<B: TestBench>(of cases: [Case<B>]) -> [Case<B>] {
        let chosen = cases.filter { tried in
            only.isEmpty || only.contains { tried.id.hasPrefix($0) || tried.requirement.hasPrefix($0) }
        }
        guard !chosen.isEmpty else { fail(.usage, "no case begins with \(only.joined(separator: " or "))") }
        return chosen
    }

    /// Prints what there is to print for the side that is named, or for both.
    func printLists() throws(UsageError) -> Never {
        let subjects = operands.isEmpty ? [Subject.server, .client] : [try subject().0]
        for subject in subjects {
            if subjects.count > 1 { say("# conformance \(subject)\n") }
            Listing(subject: subject, settings: self).show()
        }
        exitProcess(ExitStatus.ok.rawValue)
    }
}
