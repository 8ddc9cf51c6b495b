import Basics
import Glibc
import Posix

/// Connects to the first address that answers: each is tried in turn, the next one as soon as the one before it failed
/// or has not answered for a quarter of a second (the idea of RFC 8305).
final class Dialer {
    private static let patience = Duration.milliseconds(250)

    private unowned let link: SessionDriver
    private let loop: EventLoop
    private let endpoint: Endpoint
    private var untried: ArraySlice<SocketAddress> = []
    private var attempts: [(socket: Socket, address: SocketAddress)] = []
    private var isLookingUp = false
    private var lastError: ConnectionError?
    /// When the next address is tried though the last has not failed.
    private(set) var deadline: Instant?

    init(to endpoint: Endpoint, for link: SessionDriver, loop: EventLoop) {
        self.endpoint = endpoint
        self.link = link
        self.loop = loop
    }

    /// What the attempts came to, as far as it is decided.
    enum Result {
        case pending
        case connected(Socket)
        case failed(ConnectionError)
    }

    func start(at now: Instant) -> Result {
        if endpoint.host.hasPrefix("unix:") || SocketAddress(host: endpoint.host, port: endpoint.port) != nil {
            guard let address = SocketAddress(host: endpoint.host, port: endpoint.port) else {
                return .failed(ConnectionError(.unknownHost, "\(endpoint.host) is no path of a Unix socket"))
            }
            untried = [address]
            return tryNext(at: now)
        }
        isLookingUp = true
        if let error = loop.lookUp(endpoint, for: link) { return .failed(error) }
        return .pending
    }

    func resolved(_ result: Swift.Result<[SocketAddress], ConnectionError>, at now: Instant) -> Result {
        guard isLookingUp else { return .pending }
        isLookingUp = false
        switch result {
        case .failure(let error): return .failed(error)
        case .success(let addresses):
            untried = addresses[...]
            return tryNext(at: now)
        }
    }

    /// The next address's turn has come.
    func woke(at now: Instant) -> Result {
        guard let deadline, deadline <= now else { return .pending }
        return tryNext(at: now)
    }

    /// The attempt on the socket with `key` is decided.
    func ready(_ key: UInt64, at now: Instant) -> Result {
        guard let index = attempts.firstIndex(where: { $0.socket.key == key }) else { return .pending }
        let (socket, address) = attempts.remove(at: index)
        do throws(SystemError) {
            try socket.descriptor.checkConnected()
            // On loopback a socket that looks for a port may find the one that it dials, and connect to itself.
            if !address.isUnix, socket.descriptor.localAddress.description == address.description {
                throw SystemError("connect", ECONNREFUSED)
            }
            stop()
            return .connected(socket)
        } catch {
            loop.unwatch(socket)
            note(error, at: address)
            return tryNext(at: now)
        }
    }

    /// Gives all attempts up.
    func stop() {
        for attempt in attempts { loop.unwatch(attempt.socket) }
        attempts = []
        untried = []
        isLookingUp = false
        deadline = nil
    }

    private func tryNext(at now: Instant) -> Result {
        deadline = nil
        while let address = untried.popFirst() {
            do throws(SystemError) {
                let socket = try loop.watch(.connecting(to: address), for: link, writing: true)
                attempts.append((socket, address))
                deadline = untried.isEmpty ? nil : now + Dialer.patience
                return .pending
            } catch {
                note(error, at: address)
            }
        }
        guard attempts.isEmpty, let lastError else { return .pending }
        return .failed(lastError)
    }

    private func note(_ error: SystemError, at address: SocketAddress) {
        lastError = ConnectionError(.unreachable, "\(address): \(error.text)")
    }
}
