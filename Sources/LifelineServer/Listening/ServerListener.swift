import Posix

/// The socket that the server accepts on.
struct ServerListener: ~Copyable {
    let socket: Descriptor
    let address: SocketAddress
    /// A supervisor has it too: clients queued on it wait for the next server, and its file stays.
    let isHandedOver: Bool

    /// The first descriptor that is handed over (SD_LISTEN_FDS_START in sd_listen_fds(3)).
    private static let first: Int32 = 3

    /// Takes over the socket that LISTEN_FDS tells of, or listens where `options` say.
    init(_ options: ServerOptions) throws(StartError) {
        let count = ServiceEnvironment.listeners(
            count: takeEnvironmentVariable("LISTEN_FDS"), pid: takeEnvironmentVariable("LISTEN_PID"), own: processID)
        _ = takeEnvironmentVariable("LISTEN_FDNAMES")
        if count > 0 {
            socket = try ServerListener.takeOver(count)
            isHandedOver = true
        } else {
            socket = try ServerListener.listen(options)
            isHandedOver = false
        }
        address = socket.localAddress
    }

    private static func takeOver(_ count: Int) throws(StartError) -> Descriptor {
        guard count == 1 else {
            throw StartError(
                .badOptions,
                "LISTEN_FDS=\(count) hands over \(count) sockets, and this server takes one: use a single "
                    + "ListenStream= (one on [::] takes IPv4 too), or a server for each")
        }
        guard Descriptor.isOpen(first), Descriptor.isListeningStream(first) else {
            throw StartError(
                .badOptions,
                "LISTEN_FDS=1 hands over descriptor \(first), which is no TCP or Unix stream socket that "
                    + "listens: use ListenStream= and Accept=no")
        }
        let socket = Descriptor(owning: first)
        socket.prepareHandedOverListener()
        return socket
    }

    private static func listen(_ options: ServerOptions) throws(StartError) -> Descriptor {
        guard let address = SocketAddress(host: options.host, port: options.port) else {
            throw StartError(
                .badOptions,
                "'\(options.host)' is not an address to listen on: expected a numeric IPv4 or IPv6 "
                    + "address such as 127.0.0.1 or ::, or unix:/path (names are not resolved)")
        }
        return try listen(on: address, backlog: options.backlog)
    }

    /// Listens at `address`; throws why that cannot be.
    static func listen(
        on address: SocketAddress, backlog: Int32, forOwnerAlone: Bool = false
    ) throws(StartError) -> Descriptor {
        do throws(SystemError) {
            return try listen(at: address, backlog: backlog, forOwnerAlone: forOwnerAlone)
        } catch {
            throw StartError(.cannotListen, "cannot listen on \(address): \(error.text) (\(error.call))", cause: error)
        }
    }

    /// Removes the file of a Unix socket, unless a supervisor has made it.
    func removeFile() {
        if let path = address.unixPath, !isHandedOver { Posix.removeFile(at: path) }
    }

    /// The file of a Unix socket outlives a server that was killed. One without a listener is replaced.
    private static func listen(
        at address: SocketAddress, backlog: Int32, forOwnerAlone: Bool
    ) throws(SystemError) -> Descriptor {
        do throws(SystemError) {
            return try .listening(at: address, backlog: backlog, forOwnerAlone: forOwnerAlone)
        } catch {
            guard let path = address.unixPath, error.isAddressInUse, isAbandonedSocket(at: address) else { throw error }
            Posix.removeFile(at: path)
            return try .listening(at: address, backlog: backlog, forOwnerAlone: forOwnerAlone)
        }
    }
}
