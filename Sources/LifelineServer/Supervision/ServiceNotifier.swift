import Basics
import Posix

/// The supervisor that started the server, such as systemd: it is told by datagrams what sd_notify(3) tells.
///
/// It is the parent's alone, and calls nobody back: no check of exclusivity, for it is asked at each turn.
///
/// Its variables are taken out of the environment, so that a program that a handler starts does not answer for us.
final class ServiceNotifier {
    @exclusivity(unchecked) private var socket: DatagramSocket?
    @exclusivity(unchecked) private var watchdog: Watchdog?
    /// Of all that is told but the heartbeat nothing may be lost: it goes again if the supervisor is too busy.
    @exclusivity(unchecked) private var unsent: [NotifyMessage] = []
    private var connectionsTold = -1

    /// Where NOTIFY_SOCKET names a socket that nobody listens on, the server runs without a supervisor.
    init() {
        let path = takeEnvironmentVariable("NOTIFY_SOCKET")
        let patience = ServiceEnvironment.watchdog(
            microseconds: takeEnvironmentVariable("WATCHDOG_USEC"), pid: takeEnvironmentVariable("WATCHDOG_PID"),
            own: processID)
        guard let path, !path.isEmpty else { return }
        socket = try? DatagramSocket(to: path)
        if socket != nil, let patience { watchdog = Watchdog(patience: patience, at: .now) }
    }

    /// When the loop must come round for the watchdog.
    var deadline: Instant? { watchdog?.due }

    func tell(_ note: NotifyMessage) {
        guard socket != nil else { return }
        if case .ready = note { connectionsTold = -1 }  // Its status takes the place of the one that was told.
        unsent.append(note)
        flush()
    }

    /// Tells how many connections there are, if that has changed.
    func tellServing(_ connections: Int) {
        guard connections != connectionsTold else { return }
        connectionsTold = connections
        tell(.serving(connections: connections))
    }

    func acceptFailed(at now: Instant) { watchdog?.acceptFailed(at: now) }
    func accepted() { watchdog?.accepted() }

    /// The parent's loop has come round.
    func turned(at now: Instant) {
        if !unsent.isEmpty { flush() }
        if watchdog?.turned(at: now) ?? false { _ = socket?.send(Array(NotifyMessage.alive.text.utf8)) }
    }

    private func flush() {
        while let note = unsent.first, socket?.send(Array(note.text.utf8)) ?? true { unsent.removeFirst() }
        // Of one that takes nothing at all the last words are kept.
        if unsent.count > 8 { unsent.removeFirst(unsent.count - 8) }
    }

    var number: Int32? { socket?.number }
}
