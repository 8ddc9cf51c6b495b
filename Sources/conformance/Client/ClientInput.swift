import Glibc
import RawWire

/// The standard input of a client under test. It holds about a megabyte, so that a client that reads late, or never,
/// holds up nobody.
final class ClientInput {
    /// The end that the client gets.
    let reading: Int32
    private let writing: Int32
    private var isHandedOver = false
    private var isClosed = false

    init() throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw systemError("pipe") }
        for end in ends { _ = fcntl(OpenDescriptors.add(end), F_SETFD, FD_CLOEXEC) }
        (reading, writing) = (ends[0], ends[1])
        // F_SETPIPE_SZ; where it may not be so large, a long line waits until the client reads.
        _ = fcntl(writing, 1031, 1 << 20)
        _ = fcntl(writing, F_SETFL, O_NONBLOCK)
    }

    deinit {
        handedOver()
        close()
    }

    /// The client has its end.
    func handedOver() {
        if !isHandedOver { OpenDescriptors.close(reading) }
        isHandedOver = true
    }

    func write(_ text: String) throws {
        var rest = Array(text.utf8)[...]
        let deadline = SuspendingClock.now + RawPeer.patience
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(writing, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else {
                guard errno == EAGAIN else { throw Unexpected("the client does not read its standard input any more") }
                guard waitUntilReady(writing, POLLOUT, until: deadline) else {
                    throw Unexpected("the client does not read its standard input")
                }
            }
        }
    }

    func close() {
        if !isClosed { OpenDescriptors.close(writing) }
        isClosed = true
    }
}
