import Arguments
import Framing
import Glibc
import LifelineServer
import Posix
import Synchronization

// A server for the tests, whose handler does what a request asks for: blocks, streams, speaks unasked, or breaks.

/// Says on standard error what the tests wait for.
func tell(_ text: String) { try? StandardStream.error.write("handler: \(text)\n".utf8) }

final class Kept: @unchecked Sendable {
    var blocks: [[UInt8]] = []
    /// How many threads beside the handler have asked and not told the outcome.
    let asking = Atomic<Int>(0)
}

/// Appends each message, and a newline, to a file.
struct Record {
    private let file: Int32

    init(_ path: String) { file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0o600) }

    func append(_ message: ArraySlice<UInt8>) {
        let line = message + [10]
        _ = line.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
    }
}

struct Obedient: Handler, Sendable {
    static let mayBeReused = true
    // But for the requests that break the process.
    static let mayShare = true
    let answersAtOnce: Bool
    fileprivate var connection: Connection?
    private var count = 0
    private let kept = Kept()
    private let record: Record?
    private let messageTime: Duration

    init(answersAtOnce: Bool, record: Record?, messageTime: Duration) {
        self.answersAtOnce = answersAtOnce
        self.record = record
        self.messageTime = messageTime
    }

    mutating func opened(_ connection: Connection) { self.connection = connection }

    mutating func received(_ message: ArraySlice<UInt8>) {
        if messageTime > .zero { usleep(UInt32(messageTime / .microseconds(1))) }
        switch message {
        case ArraySlice("stuck".utf8): while true { pause() }
        case ArraySlice("say".utf8):
            let isSent = connection!.send("said")
            tell("sent \(isSent) unconfirmed \(String(describing: connection!.unconfirmedMessages))")
        case _ where message.starts(with: "hold ".utf8):
            let milliseconds = UInt32(String(decoding: message.dropFirst("hold ".utf8.count), as: UTF8.self))
            usleep((milliseconds ?? 0) * 1000)
        case ArraySlice("try".utf8): tell("tried \(connection!.trySend("tried"))")
        default: break
        }
        guard let record else { return tell("received \(String(decoding: message, as: UTF8.self))") }
        record.append(message)
    }

    mutating func closed(_ ending: CloseReason) {
        // The process ends with this, and the threads beside it with the process: they have been woken, and tell first.
        for _ in 0..<5000 where kept.asking.load(ordering: .acquiring) > 0 { usleep(1000) }
        tell("closed \(ending)")
    }

    mutating func respond(to request: Request) throws(Failure) -> Response {
        let words = request.text.split(separator: " ").map(String.init)
        let number = words.count > 1 ? Int(words[1]) ?? 0 : 0
        request.onCancel { tell("cancelled \(request.id)") }
        switch words.first {
        case "sleep":
            // Not to be interrupted: a library's call that blocks.
            tell("began \(request.id)")
            usleep(UInt32(number) * 1000)
            tell("woke \(request.id)")
        case "wait":
            tell("began \(request.id)")
            tell("waited \(request.id) \(request.wait(for: .milliseconds(number)))")
        case "fail": throw Failure(.handlerFailed, "as you wish", retryAfter: UInt32(number))
        case "parts":
            return Response { parts throws(Failure) in
                let part = [UInt8](repeating: 0x70, count: Int(words[2])!)
                for _ in 0..<number { try parts.send(part) }
                tell("sent all")
            }
        case "half":
            return Response { parts throws(Failure) in
                try parts.send("half")
                throw Failure(.handlerFailed, "no more")
            }
        case "say":
            for index in 0..<number { connection?.send("said \(index)") }
        case "blank":
            for _ in 0..<number { connection?.send("") }
            connection?.send("the last")
        case "tick":
            let connection = connection
            connection?.inBackground {
                var ticks = 0
                while connection!.wait(for: .milliseconds(number)) {
                    connection!.send("tick \(ticks)")
                    ticks += 1
                }
            }
        case "ask":
            let text = String(request.text.dropFirst("ask ".count))
            do throws(ClientRequestError) {
                return Response(try connection!.request(text, timeout: .seconds(60), for: request))
            } catch {
                throw Failure(.handlerFailed, "\(error)")
            }
        case "tell": connection?.send(String(request.text.dropFirst("tell ".count)))
        case "ask-for": return Response(ask(number, words.dropFirst(2).joined(separator: " "), for: request))
        case "ask-on": return Response(ask(number, words.dropFirst(2).joined(separator: " ")))
        case "ask-long": return Response(ask(5000, String(repeating: "q", count: number)))
        case "ask-beside":
            let handler = self
            kept.asking.add(1, ordering: .relaxed)
            connection?.inBackground {
                tell("outcome \(handler.ask(number, words.dropFirst(2).joined(separator: " ")))")
                handler.kept.asking.subtract(1, ordering: .releasing)
            }
        case "ask-many":
            // So many threads at once, and each says what it has got.
            for thread in 0..<number {
                let handler = self
                connection?.inBackground {
                    handler.connection?.send("\(thread): \(handler.ask(20_000, "\(thread)"))")
                }
            }
        case "count":
            count += 1
            return Response("\(count)")
        case "trap": preconditionFailure("as you wish")
        case "null": return Response([UnsafePointer<UInt8>(bitPattern: UInt(number))!.pointee])
        case "overflow": return Response("\(deep(number))")
        case "exit": exit(Int32(number))
        case "abort": abort()
        case "print": _ = write(1, "printed\n", 8)
        case "say-out": print(words.dropFirst().joined(separator: " "))
        case "begin-out": print(words.dropFirst().joined(separator: " "), terminator: "")
        case "close": close(Int32(number))
        case "leak": _ = open("/dev/null", O_RDONLY)
        case "linger": connection?.inBackground { sleep(UInt32(number)) }
        case "spin": while true { count &+= 1 }
        case "allocate":
            while true { kept.blocks.append([UInt8](repeating: 1, count: number)) }
        case "topic":
            guard let connection else { break }
            return try answer(toTopicRequest: Array(words.dropFirst()), on: connection)
        default: break
        }
        return Response(request.bytes)
    }

    mutating func missed(_ gap: MessageGap) {
        let gap = "missed \(gap.count.map(String.init) ?? "some") of \(gap.topic ?? "none")"
        tell(gap)
        connection?.send(gap)
    }
}

extension Obedient {
    /// The client's answer, or the outcome without one.
    fileprivate func ask(_ milliseconds: Int, _ question: String, for request: Request? = nil) -> String {
        guard let connection else { return "no connection" }
        do throws(ClientRequestError) {
            let answer = try connection.request(question, timeout: .milliseconds(milliseconds), for: request)
            return answer.count > 100 ? "\(answer.count) bytes" : String(decoding: answer, as: UTF8.self)
        } catch {
            return "\(error)"
        }
    }
}

/// It does not say that its process may serve others, after its connection or beside it.
struct Lonely: Handler {
    func respond(to request: Request) -> Response { Response(request.bytes) }
}

@inline(never)
func deep(_ number: Int) -> Int { number < 0 ? 0 : 1 + deep(number + 1) }

struct Settings {
    var options = ServerOptions()
    var answersAtOnce = false
    var isLonely = false
    var seesPublications = false
    var record: String?
    var messageTime = Duration.zero
    /// When a second thread is started: never, before the server is made, or before it runs.
    var thread = ""

    static let command = Command<Settings>(
        "handlers", summary: "Serves requests that say what is to be done.", defaults: Settings(),
        flags: [
            Flag("--port", "PORT", "where to listen") { settings, text throws(UsageError) in
                settings.options.port = try FlagValue.integer(text, in: 0...UInt16.max)
            },
            duration("--timeout", \.timeout), duration("--handshake-timeout", \.handshakeTimeout),
            duration("--grace", \.grace),
            Flag("--handler-timeout", "DURATION", "the time of a request") { settings, text throws(UsageError) in
                settings.options.handlerTimeout = try FlagValue.duration(text, in: .zero ... .seconds(3600))
            },
            Flag("--max-memory", "BYTES", "RLIMIT_AS") { settings, text throws(UsageError) in
                settings.options.maxMemory = UInt64(try FlagValue.size(text, in: 1...UInt32.max))
            },
            Flag("--max-cpu", "DURATION", "RLIMIT_CPU") { settings, text throws(UsageError) in
                settings.options.maxCPU = try FlagValue.duration(text, in: .zero ... .seconds(3600))
            },
            Flag("--memory-budget", "BYTES", "as of server") { settings, text throws(UsageError) in
                settings.options.memoryBudget = UInt64(try FlagValue.size(text, in: 1...UInt32.max))
            },
            Flag("--pool-reuse", "K", "one child waits, and serves so many") { settings, text throws(UsageError) in
                settings.options.pool = PoolSize(least: 1, most: 1)
                settings.options.poolReuse = try FlagValue.integer(text, in: 1...1000)
            },
            Flag("--connections-per-process", "K", "as of server") { settings, text throws(UsageError) in
                settings.options.connectionsPerProcess = try FlagValue.integer(text, in: 1...1_000_000)
            },
            Flag("--handler-threads", "N", "as of server") { settings, text throws(UsageError) in
                settings.options.handlerThreads = try FlagValue.integer(text, in: 1...10_000)
            },
            Flag("--topics", "as of server") { $0.options.topics = true },
            Flag("--max-topics", "N", "as of server") { settings, text throws(UsageError) in
                settings.options.maxTopics = try FlagValue.integer(text, in: 1...1_000_000)
            },
            Flag("--sees", "changes publications, and drops those that begin with a minus") {
                $0.seesPublications = true
            },
            Flag("--lonely", "does not say that its process may serve others") { $0.isLonely = true },
            Flag("--control", "PATH", "as of server") { $0.options.control = $1 },
            Flag("--metrics", "ADDRESS:PORT", "as of server") { $0.options.metrics = $1 },
            Flag("--thread", "WHEN", "start a thread before the server: init or run") { $0.thread = $1 },
            Flag("--at-once", "answers in the loop") { $0.answersAtOnce = true },
            Flag("--record", "PATH", "each message becomes a line of this file") { $0.record = $1 },
            Flag("--message-time", "DURATION", "how long a message takes") { settings, text throws(UsageError) in
                settings.messageTime = try FlagValue.duration(text, in: .zero ... .seconds(3600))
            },
        ])

    private static func duration(
        _ name: String, _ path: WritableKeyPath<ServerOptions, Duration> & Sendable
    ) -> Flag<Settings> {
        Flag(name, "DURATION", "as of server") { settings, text throws(UsageError) in
            settings.options[keyPath: path] = try FlagValue.duration(text, in: .zero ... .seconds(3600))
        }
    }
}

var settings = Settings()
do {
    _ = try Settings.command.parse(Array(CommandLine.arguments.dropFirst()), into: &settings)
    let (answersAtOnce, record, messageTime) = (settings.answersAtOnce, settings.record, settings.messageTime)
    func startIdleThread() throws { try startThread(named: "idle") { while true { pause() } } }
    if settings.thread == "init" { try startIdleThread() }
    let server = try Server(settings.options)
    if settings.thread == "run" { try startIdleThread() }
    try StandardStream.output.write("listening on \(server.address)\n".utf8)
    if settings.isLonely {
        try server.run { Lonely() }
    } else if settings.seesPublications {
        try server.run { Seeing(Obedient(answersAtOnce: answersAtOnce, record: nil, messageTime: messageTime)) }
    } else {
        try server.run {
            Obedient(answersAtOnce: answersAtOnce, record: record.map { Record($0) }, messageTime: messageTime)
        }
    }
} catch {
    tell("\(error)")
    exitProcess(1)
}
exitProcess(0)
