import Basics
import Posix

/// Notifies the supervisor that started the server, such as systemd, with datagrams as sd_notify(3) sends them.
///
/// It is the parent's alone, and calls nothing back: so its properties, which are read at each turn, are accessed
/// without a check of exclusivity. Its variables are taken out of the environment, so that a program that a handler
/// starts does not speak for the server.
final class ServiceNotifier {
    @exclusivity(unchecked) private var socket: ParentOwned<DatagramSocket>?
    @exclusivity(unchecked) private var watchdog: Watchdog?
    /// Messages that a busy supervisor has not taken; they are sent again. Of heartbeats one may be lost.
    @exclusivity(unchecked) private var unsent: [NotifyMessage] = []
    private var notifiedConnections = -1

    /// Connects to the socket that NOTIFY_SOCKET names. Without one, or where none listens there, the server runs
    /// without a supervisor. `descriptors` lists the parent's own.
    init(in descriptors: ParentDescriptors) {
        let path = takeEnvironmentVariable("NOTIFY_SOCKET")
        let patience = ServiceEnvironment.watchdog(
            microseconds: takeEnvironmentVariable("WATCHDOG_USEC"), pid: takeEnvironmentVariable("WATCHDOG_PID"),
            own: processID)
        guard let path, !path.isEmpty else { return }
        guard let socket = try? DatagramSocket(to: path) else { return }
        self.socket = ParentOwned(socket, in: descriptors)
        if let patience { watchdog = Watchdog(patience: patience, at: .now) }
    }

    /// When the loop must come round for the watchdog.
    var deadline: Instant? { watchdog?.due }

    func notify(_ message: NotifyMessage) {
        guard socket != nil else { return }
        if case .ready = message { notifiedConnections = -1 }  // Its status takes the place of the last one.
        unsent.append(message)
        flush()
    }

    /// Notifies how many connections there are, if that has changed.
    func notifyServing(_ connections: Int) {
        guard connections != notifiedConnections else { return }
        notifiedConnections = connections
        notify(.serving(connections: connections))
    }

    func acceptFailed(at now: Instant) { watchdog?.acceptFailed(at: now) }
    func accepted() { watchdog?.accepted() }

    /// The parent's loop has come round.
    func turned(at now: Instant) {
        if !unsent.isEmpty { flush() }
        if watchdog?.turned(at: now) ?? false { _ = socket?.resource.send(Array(NotifyMessage.alive.text.utf8)) }
    }

    private func flush() {
        while let message = unsent.first, socket?.resource.send(Array(message.text.utf8)) ?? true {
            unsent.removeFirst()
        }
        // For a supervisor that takes nothing at all the last messages are kept.
        if unsent.count > 8 { unsent.removeFirst(unsent.count - 8) }
    }
}
