import Basics
import Framing
import Posix

/// What an operator sees of a server: the control socket, the metrics, and what is counted for them.
final class AdminServer {
    /// Where an operator asks, once the server has begun; each can be left out.
    struct Listeners: ~Copyable {
        fileprivate var control: Descriptor?
        fileprivate var metrics: Descriptor?
        /// The control socket's file.
        private(set) var controlFile: SocketFile?
        /// Where metrics are, with the port that the system chose.
        private(set) var metricsAddress: SocketAddress?

        /// Listens where `options` say. The control socket is the `owner`'s, and of no one else but root.
        mutating func open(_ options: ServerOptions, owner: Account?) throws(StartError) {
            if let text = options.metrics { try openMetrics(text) }
            if let path = options.control { try openControl(path, owner) }
        }

        private mutating func openMetrics(_ text: String) throws(StartError) {
            guard let address = SocketAddress(hostAndPort: text) else {
                throw StartError(
                    .badOptions,
                    "--metrics '\(text)' is not an address and a port, such as 127.0.0.1:9100 or [::1]:9100")
            }
            let listener = try ServerListener.listen(on: address, backlog: AdminServer.backlog)
            metricsAddress = listener.localAddress
            metrics = consume listener
        }

        private mutating func openControl(_ path: String, _ owner: Account?) throws(StartError) {
            guard let address = SocketAddress(host: "unix:\(path)", port: 0) else {
                throw StartError(.badOptions, "--control '\(path)' is not the path of a Unix socket: 1 to 107 bytes")
            }
            control = try ServerListener.listen(on: address, backlog: AdminServer.backlog, forOwnerAlone: true)
            controlFile = SocketFile(at: path)
            guard let owner else { return }
            do throws(SystemError) {
                try giveFile(at: path, to: owner.user, group: owner.group)
            } catch {
                throw StartError(.refused, "cannot give \(path) to --user: \(error.text) (\(error.call))", cause: error)
            }
        }
    }

    private static let backlog: Int32 = 16

    let startedAt: Instant
    @exclusivity(unchecked) var totals = ServerStatistics()
    private let control: AdminConnections?
    private let metrics: AdminConnections?
    private let controlFile: SocketFile?

    init(
        _ listeners: consuming Listeners, at now: Instant,
        control: @escaping (ControlRequest) -> AdminConnections.Answer,
        metrics: @escaping () -> String
    ) {
        startedAt = now
        controlFile = listeners.controlFile
        if let listener = listeners.control.take() {
            self.control = AdminConnections(listener, refusal: AdminServer.refusal(of:)) { bytes in
                do throws(ControlRequest.Mistake) {
                    return try ControlRequest(bytes).map(control)
                } catch {
                    return AdminConnections.Answer(bytes: ControlAnswer.failed(error.error, error.text))
                }
            }
        } else {
            self.control = nil
        }
        if let listener = listeners.metrics.take() {
            self.metrics = AdminConnections(listener) { bytes in
                MetricsHTTP.response(to: bytes, metrics: metrics).map { AdminConnections.Answer(bytes: $0) }
            }
        } else {
            self.metrics = nil
        }
    }

    /// The file's mode says the same; this holds where the file was opened to others.
    private static func refusal(of connection: borrowing Descriptor) -> AdminConnections.Answer? {
        let user = connection.peerUser
        guard user != 0, user != ownUser else { return nil }
        return AdminConnections.Answer(
            bytes: ControlAnswer.failed("forbidden", "only the server's owner and root may ask"))
    }

    var deadline: Instant? { earlier(control?.deadline, metrics?.deadline) }

    /// Adds what poll(2) waits for: nothing in a server that nobody looks into.
    func append(to entries: inout [PollEntry]) {
        control?.append(to: &entries)
        metrics?.append(to: &entries)
    }

    /// `entries` are those asked for.
    func woke(_ entries: ArraySlice<PollEntry>, at now: Instant) {
        guard !entries.isEmpty else { return }
        // What is served changes how many there are.
        let count = control?.count ?? 0
        control?.woke(entries.prefix(count), at: now)
        metrics?.woke(entries.dropFirst(count), at: now)
    }

    /// Adds the numbers of all descriptors.
    func append(to numbers: inout [Int32]) {
        control?.append(to: &numbers)
        metrics?.append(to: &numbers)
    }

    /// The server ends.
    func end() {
        control?.closeAll()
        metrics?.closeAll()
        controlFile?.remove()
    }

    func count(fork error: SystemError) { totals.forkFailed(error.name) }
    func count(accept error: SystemError) { totals.acceptFailed(error.name) }
}

extension ConnectionStatistics {
    /// What a child's slot shows now. Nothing of it is trusted: a number is a number, and a name is cut off and escaped.
    init(_ slot: Scoreboard.Slot) {
        state = slot.activity
        heardAt = slot.heardAt
        roundTrip = slot.roundTrip
        inFlight = slot.inFlight
        requests = slot.requests
        bytesIn = slot.bytesIn
        bytesOut = slot.bytesOut
        if roundTrip != nil { roundTrips = Histogram(counts: slot.roundTrips, sum: slot.roundTripsSum) }
        let name = slot.name
        self.name = name.isEmpty ? nil : String(decoding: name, as: UTF8.self)
        cause = slot.closeReason.map { CloseReasonLabel(reason: $0.reason, by: $0.by) }
        lateness = slot.lateness
    }
}
