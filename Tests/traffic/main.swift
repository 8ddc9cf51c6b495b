import Arguments
import LifelineClient
import Posix

// A client for the test bed of networks (tools/dev/networks): it sends what its flags say, and writes a line for each
// event of its connection and each outcome of a request. Unlike `client` it has many requests in flight, sends one-way
// messages, and compares every byte that comes.

/// What is sent, and what has to come back.
enum Transfer: String, CaseIterable {
    /// Requests of many bytes; "ok" for each.
    case upload
    /// Requests of many bytes; the same bytes for each.
    case echo
    /// Requests of a few bytes; many for each. The server runs tools/dev/networks_bed/program.py.
    case download
    /// One-way messages to the server, which then tells how many came. The server runs the same program.
    case post
    /// One-way messages from the server, which the same program sends.
    case push
}

struct Settings {
    var host = "127.0.0.1"
    var port: UInt16 = 7400
    var transfer = Transfer.echo
    var isShort = false
    var count = 1
    var size = 1000
    var inFlight = 1

    static let command = Command<Settings>(
        "traffic", summary: "Sends what is asked for, and tells what becomes of it.", defaults: Settings(),
        flags: [
            Flag("--host", "HOST", "the server's address", \.host, .text),
            Flag("--port", "PORT", "the server's port", \.port, .integer(in: 1...UInt16.max)),
            Flag("--transfer", "NAME", "what is sent", \.transfer, .choice),
            Flag("--short", "a connection for each request") { $0.isShort = true },
            Flag("--count", "N", "requests or messages", \.count, .integer(in: 1...1_000_000)),
            Flag("--size", "BYTES", "bytes of each", \.size, .integer(in: 8...64 << 20)),
            Flag("--in-flight", "N", "unanswered requests at a time", \.inFlight, .integer(in: 1...256)),
        ])
}

/// Printable bytes that repeat after a prime number of them, so that a byte that is lost or out of place shows.
/// tools/dev/networks_bed/program.py makes the same.
let pattern: [UInt8] = (0..<8191).map { (place: Int) -> UInt8 in UInt8(33 + (place * place + 3 * place) % 90) }

/// `size` bytes: the number of the message, a space, and the pattern.
func payload(_ number: Int, size: Int) -> [UInt8] {
    var bytes = Array("\(number) ".utf8)
    bytes.reserveCapacity(size + pattern.count)
    while bytes.count < size { bytes += pattern }
    return Array(bytes[..<size])
}

func tell(_ text: String) { try? StandardStream.output.write("\(text)\n".utf8) }

func seconds(_ duration: Duration) -> Double { duration / .seconds(1) }

struct Traffic {
    /// Longer than any transfer: the connection's end decides, and not the request's timeout.
    static let patience = Duration.seconds(24 * 3600)

    let settings: Settings

    func run() async {
        guard !settings.isShort else { return await requests(on: nil) }
        var options = ClientOptions()
        options.reconnect.attempts = 0
        options.unreadMessages = 1 << 30
        let connection: LongConnection
        do {
            connection = try LongConnection.start(host: settings.host, port: settings.port, options: options)
        } catch {
            return tell("closed \(error)")
        }
        let events = Task {
            for await event in connection.events { show(event) }
        }
        switch settings.transfer {
        case .upload, .echo, .download: await requests(on: connection)
        case .post: await post(on: connection)
        case .push: await push(on: connection)
        }
        tell("finished")
        await connection.close()
        await events.value
    }

    private func show(_ event: ConnectionEvent) {
        switch event {
        case .connected(let terms): tell("connected \(seconds(terms.pingEvery)) \(seconds(terms.deadAfter))")
        case .roundTrip(let time): tell("beat \(seconds(time))")
        case .beatLate: tell("late")
        case .transfer: break
        case .lost(let error): tell("lost \(error)")
        case .closed(let error): tell("closed \(error)")
        default: tell("event \(event)")
        }
    }

    /// Sends all requests, `inFlight` of them at a time. A failed short connection is the last.
    private func requests(on connection: LongConnection?) async {
        await withTaskGroup(of: Bool.self) { group in
            for number in 0..<settings.count {
                if number >= settings.inFlight, await group.next() == false, connection == nil { return }
                group.addTask { await request(number, on: connection) }
            }
        }
    }

    private func request(_ number: Int, on connection: LongConnection?) async -> Bool {
        let sent =
            settings.transfer == .download
            ? Array("give \(number) \(settings.size)".utf8) : payload(number, size: settings.size)
        let expected =
            switch settings.transfer {
            case .upload: Array("ok".utf8)
            case .download: payload(number, size: settings.size)
            default: sent
            }
        return await ask(number, sent, expecting: expected, on: connection)
    }

    /// Sends one request, and tells its outcome: DONE only where every byte of the answer is right. Returns whether there
    /// was an answer.
    @discardableResult
    private func ask(
        _ number: Int, _ sent: [UInt8], expecting expected: [UInt8], on connection: LongConnection?
    ) async -> Bool {
        do throws(RequestError) {
            let answer: [UInt8]
            if let connection {
                answer = try await connection.request(sent, timeout: Traffic.patience)
            } else {
                var options = ClientOptions()
                options.reconnect.attempts = 0
                answer = try await ShortConnection.request(
                    sent, host: settings.host, port: settings.port, timeout: Traffic.patience, options: options)
            }
            tell("request \(number) \(answer == expected ? "DONE" : "WRONG: \(answer.count) bytes")")
            return true
        } catch {
            tell("request \(number) \(error)")
            return false
        }
    }

    private func post(on connection: LongConnection) async {
        do throws(RequestError) {
            for number in 0..<settings.count { try await connection.send(payload(number, size: settings.size)) }
        } catch {
            return tell("request 0 \(error)")
        }
        let count = "\(settings.count) messages, \(settings.count * settings.size) bytes"
        await ask(0, Array("how many".utf8), expecting: Array(count.utf8), on: connection)
    }

    private func push(on connection: LongConnection) async {
        await ask(
            0, Array("push \(settings.count) \(settings.size)".utf8), expecting: Array("ok".utf8), on: connection)
        var number = 0
        for await message in connection.messages {
            guard message == payload(number, size: settings.size) else {
                return tell("messages WRONG: at \(number), \(message.count) bytes")
            }
            number += 1
            if number == settings.count { return tell("messages DONE") }
        }
        tell("messages UNKNOWN: \(number) of \(settings.count)")
    }
}

var settings = Settings()
do throws(UsageError) {
    _ = try Settings.command.parse(Array(CommandLine.arguments.dropFirst()), into: &settings)
} catch {
    tell("\(error)")
    exitProcess(64)
}
await Traffic(settings: settings).run()
exitProcess(0)
