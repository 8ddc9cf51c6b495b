import Basics
import Framing
import Posix

/// Where an operator asks the server: the control socket and the metrics.
final class AdminServer {
    /// The listeners behind it, opened before the server becomes another user; each can be left out.
    struct Listeners: ~Copyable {
        fileprivate var control: Descriptor?
        fileprivate var metrics: Descriptor?
        /// The control socket's file.
        private(set) var controlFile: SocketFile?
        /// Where the metrics are, with the port that the system chose.
        private(set) var metricsAddress: SocketAddress?

        /// Listens where `options` say. The control socket belongs to `owner`; root and its owner alone may use it.
        mutating func open(_ options: ServerOptions, owner: Account?) throws(StartError) {
            if let text = options.metrics { try openMetrics(text) }
            if let path = options.control { try openControl(path, owner) }
        }

        /// Removes the control socket's file: nothing answers there.
        func removeFile() { controlFile?.remove() }

        private mutating func openMetrics(_ text: String) throws(StartError) {
            guard let address = SocketAddress(listenHostAndPort: text) else {
                throw StartError(
                    .badOptions,
                    "--metrics '\(text)' is not an address and a port, such as 127.0.0.1:9100, [::1]:9100 or *:9100")
            }
            let listener = try ServerListener.listen(on: address.withoutIPv6 ?? address, backlog: AdminServer.backlog)
            metricsAddress = listener.localAddress
            metrics = consume listener
        }

        private mutating func openControl(_ path: String, _ owner: Account?) throws(StartError) {
            guard let address = SocketAddress(host: "unix:\(path)", port: 0) else {
                throw StartError(.badOptions, "--control '\(path)' is not the path of a Unix socket: 1 to 107 bytes")
            }
            control = try ServerListener.listen(on: address, backlog: AdminServer.backlog, access: .owner)
            controlFile = SocketFile(at: path)
            try owner?.take(path)
        }
    }

    private static let backlog: Int32 = 16

    private let control: AdminConnections?
    private let metrics: AdminConnections?
    private let controlFile: SocketFile?

    /// - Parameters:
    ///   - listeners: Where an operator asks.
    ///   - descriptors: Where the parent's descriptors are listed.
    ///   - commands: What answers.
    init(_ listeners: consuming Listeners, in descriptors: ParentDescriptors, _ commands: ControlCommands) {
        controlFile = listeners.controlFile
        if let listener = listeners.control.take() {
            control = AdminConnections(listener, in: descriptors, refusal: AdminServer.refusal(of:)) { bytes in
                do throws(ControlRequestError) {
                    return try ControlRequest(bytes).map(commands.answer)
                } catch {
                    return AdminConnections.Answer(bytes: ControlAnswer.failed(error.error, error.text))
                }
            }
        } else {
            control = nil
        }
        if let listener = listeners.metrics.take() {
            metrics = AdminConnections(listener, in: descriptors) { bytes in
                MetricsHTTP.response(to: bytes, metrics: commands.metrics).map { AdminConnections.Answer(bytes: $0) }
            }
        } else {
            metrics = nil
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

    func add(to set: inout PollSet) {
        control?.add(to: &set)
        metrics?.add(to: &set)
    }

    /// The loop woke up: serves what is ready.
    func resumed(_ set: borrowing PollSet, at now: Instant) {
        control?.resumed(set, at: now)
        metrics?.resumed(set, at: now)
    }

    /// Closes all, and removes the control socket's file.
    func close() {
        control?.closeAll()
        metrics?.closeAll()
        controlFile?.remove()
    }
}

extension ConnectionStatistics {
    /// What a child's slot shows now. Nothing of it is trusted: a number is a number, and a name is cut off and
    /// escaped. Sums over thousands need no names.
    init(_ slot: Scoreboard.Slot, withName: Bool = true) {
        state = slot.activity
        heardAt = slot.heardAt
        roundTrip = slot.roundTrip
        inFlight = slot.inFlight
        answered = slot.answered
        bytesIn = slot.bytesIn
        bytesOut = slot.bytesOut
        counts = slot.counts
        serverRequests = slot.serverRequests
        held = slot.held
        if roundTrip != nil { roundTrips = Histogram(.roundTrips, counts: slot.roundTrips, sum: slot.roundTripsSum) }
        handlerTimes = slot.handlerTimes
        let name = withName ? slot.name : []
        self.name = name.isEmpty ? nil : String(decoding: name, as: UTF8.self)
        cause = slot.closeReason.map { CloseReasonLabel(reason: $0.reason, by: $0.by) }
        lateness = slot.lateness
    }
}
