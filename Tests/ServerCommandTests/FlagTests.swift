import Arguments
import Testing

@testable import LifelineServer
@testable import server

/// What is typed with a flag to give it another value than its default, and what has to be typed beside it.
private struct Sample {
    let values: [String]
    let beside: [String]

    init(_ values: String..., beside: [String] = []) {
        self.values = values
        self.beside = beside
    }
}

private let samples: [String: Sample] = [
    "--config": Sample("/dev/null"), "--check": Sample(), "--host": Sample("unix:socket"), "--port": Sample("1"),
    "--listen": Sample("unix:other"), "--proxy-from": Sample("10.0.0.0/8"),
    "--token-from-cn": Sample(beside: ["--proxy-from", "10.0.0.0/8"]),
    "--backlog": Sample("9"), "--handler": Sample("ack"), "--handler-timeout": Sample("1"),
    "--exec": Sample("cat"), "--exec-per": Sample("request", beside: ["--exec", "cat"]),
    "--exec-framing": Sample("length", beside: ["--exec", "cat"]),
    "--exec-grace": Sample("9", beside: ["--exec", "cat"]), "--shell": Sample(beside: ["--exec", "cat"]),
    "--timeout": Sample("9"), "--heartbeat": Sample("9"), "--handshake-timeout": Sample("9"),
    "--max-age": Sample("9"), "--max-idle": Sample("9"),
    "--max-frame": Sample("512"), "--max-message": Sample("2m"), "--max-in-flight": Sample("9"),
    "--max-queued": Sample("9m"),
    "--max-memory": Sample("1g"), "--max-cpu": Sample("9"), "--max-files": Sample("99"),
    "--max-connections": Sample("9"), "--memory-budget": Sample("64m"), "--max-per-source": Sample("9"),
    "--source-prefix": Sample("24,56"),
    "--max-rate": Sample("9"), "--max-handshakes": Sample("10:30:100"), "--exempt": Sample("10.0.0.0/8"),
    "--token-file": Sample("tokens"), "--allow": Sample("10.0.0.0/8"), "--deny": Sample("10.0.0.0/8"),
    "--pool": Sample("4"), "--pool-reuse": Sample("9", beside: ["--pool", "2"]),
    "--connections-per-process": Sample("9"), "--handler-threads": Sample("9"), "--no-titles": Sample(),
    "--drain": Sample("9"), "--grace": Sample("9"), "--log": Sample("log"), "--log-level": Sample("debug"),
    "--log-format": Sample("json"), "--log-flood": Sample("9"), "--control": Sample("control"),
    "--metrics": Sample("127.0.0.1:0"), "--user": Sample("nobody"), "--group": Sample("nogroup"),
    "--daemon": Sample(beside: ["--log", "log"]), "--chdir": Sample("folder"), "--umask": Sample("027"),
    "--topics": Sample(), "--publish-socket": Sample("publish", beside: ["--topics"]), "--max-topics": Sample("9"),
    "--pidfile": Sample("pid"), "--ready-fd": Sample("3"),
]

/// All that a value holds, as text.
private func contents(_ value: some Any) -> String {
    var text = ""
    dump(value, to: &text)
    return text
}

/// What the flag's sample makes of a reload: the settings before it and after it.
private func settings(_ name: String) throws -> (running: ServerSettings, arguments: [String], new: ServerSettings) {
    let sample = try #require(samples[name])
    let arguments = [name] + sample.values + sample.beside
    return (try ServerSettings.read(sample.beside), arguments, try ServerSettings.read(arguments))
}

@Suite("The flags of server")
struct FlagTests {
    private static let names = ServerSettings.flags.map(\.flag.name)

    @Test("Each flag has a name of its own, and a sample here")
    func complete() {
        #expect(Set(FlagTests.names) == Set(samples.keys))
        #expect(Set(FlagTests.names).count == FlagTests.names.count)
    }

    @Test("SIGHUP makes of each flag what the flag declares: taken over, or kept and named", arguments: names)
    func reload(_ name: String) throws {
        let flag = try #require(ServerSettings.flags.first { $0.flag.name == name })
        let (running, arguments, new) = try settings(name)
        #expect(contents(new) != contents(running), "the sample is the default")
        var file: [UInt8] = []
        let reloaded = try ServerSettings.readAgain(arguments, in: nil, running: running, &file)
        let (options, kept) = reloaded.options.takenOver(by: running.options)
        switch flag.reload {
        case .live:
            #expect(kept + reloaded.alsoKept == [])
            #expect(contents(options) == contents(new.options))
        case .restart(let option):
            #expect(option.rawValue == name && kept == [name] && reloaded.alsoKept == [])
            #expect(contents(options) == contents(running.options))
        case .restartOfProcess:
            #expect(kept == [] && reloaded.alsoKept == [name])
            #expect(contents(options) == contents(running.options))
        case .none:
            #expect(flag.flag.isOnlyTyped && kept + reloaded.alsoKept == [])
        }
    }

    @Test("Each option of the library that a restart alone changes has a flag that says so")
    func restartOptions() {
        let options = ServerSettings.flags.compactMap { flag -> RestartOption? in
            if case .restart(let option) = flag.reload { option } else { nil }
        }
        #expect(Set(options) == Set(RestartOption.allCases) && options.count == RestartOption.allCases.count)
    }

    @Test("Each option of the library has a flag that sets it")
    func options() throws {
        func members(_ options: ServerOptions) -> [String: String] {
            Dictionary(
                uniqueKeysWithValues: Mirror(reflecting: options).children.map { ($0.label!, contents($0.value)) })
        }
        let defaults = members(ServerOptions())
        var unset = Set(defaults.keys)
        for name in FlagTests.names {
            for (member, value) in members(try settings(name).new.options) where value != defaults[member] {
                unset.remove(member)
            }
        }
        #expect(unset == [])
    }

    @Test(
        "A relative path means what it meant where the command was typed",
        arguments: ["--host", "--listen", "--token-file", "--log", "--control", "--pidfile", "--publish-socket"])
    func paths(_ name: String) throws {
        var (_, _, new) = try settings(name)
        let path = try #require(samples[name]?.values.first).split(separator: ":").last!
        new.resolvePaths(in: "/where/it/was")
        #expect(contents(new).contains("\"/where/it/was/\(path)\"") || contents(new).contains("\"unix:/where/it/was/"))
        let once = contents(new)
        new.resolvePaths(in: "/elsewhere")
        #expect(contents(new) == once, "an absolute path stays")
    }

    @Test("Each flag whose value is the path of a file declares that it is one")
    func declaredPaths() {
        for flag in ServerSettings.flags.map(\.flag) where ["FILE", "PATH", "PATH|none"].contains(flag.value) {
            // The configuration is read, and not kept.
            #expect(flag.isPath || flag.name == "--config", "\(flag.name)")
        }
    }

    @Test("The help shows each default as the options have it")
    func defaults() {
        let help = ServerSettings.command.help
        let options = ServerOptions()
        for text in [
            "(\(options.host))", "(\(options.port))", "(\(options.backlog))", "(\(options.maxInFlight))",
            "(\(FlagValue.describe(options.timeout)))", "(\(options.sourcePrefix))", "(127.0.0.0/8 and ::1)", "(16k)",
            "(\(options.logLevel))", "(standard error)", "(\(options.logFlood))",
        ] {
            #expect(help.contains(text), "\(text)")
        }
    }

    @Test("Every line of every --help fits 80 columns")
    func width() {
        for help in [ServerSettings.command.help, Ctl.command.help, StatusCommand.command.help] {
            for line in help.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
        }
    }
}

@Suite("The exit statuses of server")
struct ExitTests {
    @Test("The table has each status once, and says for each kind of error which it is")
    func table() {
        #expect(Set(ExitMeanings.all.map(\.status)).count == ExitMeanings.all.count)
        #expect(ExitMeanings.all.map(\.status) == ExitMeanings.all.map(\.status).sorted())
        for (kind, status) in [
            (.badOptions, .usage), (.cannotListen, .osError), (.cannotOpen, .osError), (.refused, .osError),
            (.noFile, .noInput), (.badFile, .badConfiguration), (.noProgram, .unavailable), (.noUser, .noUser),
            (.cannotBecome, .osError), (.hasThreads, .osError),
        ] as [(StartError.Kind, Arguments.ExitStatus)] {
            #expect(Failed(StartError(kind, "")).status == status)
        }
    }
}
