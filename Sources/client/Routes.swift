import LifelineClient
import Synchronization

/// All messages on one connection.
struct LongRoute: MessageRoute {
    private let settings: ClientSettings
    private let connection: LongConnection

    init(_ settings: ClientSettings, _ connection: LongConnection) {
        self.settings = settings
        self.connection = connection
    }

    /// The limit of the connection that is there; between two, that of the library.
    var longest: Int {
        if case .open(let terms) = connection.state { terms.maxMessage } else { ClientSettings.longestInput }
    }

    /// A one-way message waits for room for as long as that takes.
    var timeout: Duration? { settings.isOneWay ? nil : settings.timeout }

    var isAway: Bool {
        switch connection.state {
        case .connecting, .waiting: true
        case .open, .goingAway, .closed: false
        }
    }

    func send(_ calls: [NumberedCall], to results: CallResults) -> [LongConnection.CallID] {
        connection.submit(
            calls, isOneWay: settings.isOneWay, mayRunTwice: settings.mayRunTwice, to: results)
    }

    func abandon(_ call: LongConnection.CallID) { connection.abandon(call) }
}

/// A connection for each message.
final class ShortRoute: MessageRoute {
    private struct State {
        /// In the order in which they are tried: the one that has answered last is the first.
        var servers: [String]
        var wait: Duration
        var longest = ClientSettings.longestInput
    }

    private let settings: ClientSettings
    private let printer: EventPrinter
    private let shared: Mutex<State>

    init(_ settings: ClientSettings, _ printer: EventPrinter) {
        self.settings = settings
        self.printer = printer
        shared = Mutex(State(servers: settings.servers, wait: settings.options.wait))
    }

    /// The limit of the server that has answered last.
    var longest: Int { shared.withLock { $0.longest } }
    /// The library ends each request.
    var timeout: Duration? { nil }
    var isAway: Bool { false }

    func send(_ calls: [NumberedCall], to results: CallResults) -> [LongConnection.CallID] {
        for call in calls { Task { await request(call, to: results) } }
        return calls.map { _ in 0 }
    }

    func abandon(_ call: LongConnection.CallID) {}

    private func request(_ call: NumberedCall, to results: CallResults) async {
        let (servers, wait) = shared.withLock { ($0.servers, $0.wait) }
        var options = settings.options
        options.wait = wait
        let (events, continuation) = AsyncStream.makeStream(of: ConnectionEvent.self)
        async let connected = show(events, call.number)
        let result: Result<[UInt8], RequestError>
        do throws(RequestError) {
            result = .success(
                try await ShortConnection.request(
                    call.bytes, hosts: servers, timeout: settings.timeout, mayRunTwice: settings.mayRunTwice,
                    options: options, events: continuation))
        } catch {
            result = .failure(error)
        }
        // What comes behind the answer is the end of the connection.
        continuation.finish()
        if let terms = await connected { remember(terms) }
        results.add(CallResult(number: call.number, result: result))
    }

    /// Shows what happens to a connection; returns its terms where it was open.
    private func show(_ events: AsyncStream<ConnectionEvent>, _ number: Int) async -> ConnectionTerms? {
        var connected: ConnectionTerms?
        for await event in events {
            switch event {
            case .connected(let terms): connected = terms
            case .transfer(var progress):
                progress.number = number
                printer.showShort(.transfer(progress))
                continue
            default: break
            }
            printer.showShort(event)
        }
        return connected
    }

    /// The next message begins with the server that answered, and waits for one that was there as a long connection does.
    private func remember(_ terms: ConnectionTerms) {
        shared.withLock { shared in
            if let index = shared.servers.firstIndex(of: terms.server), index > 0 {
                shared.servers = Array(shared.servers[index...] + shared.servers[..<index])
            }
            shared.wait = max(shared.wait, settings.outageLimit)
            shared.longest = terms.maxMessage
        }
    }
}
