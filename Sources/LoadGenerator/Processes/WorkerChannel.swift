import Posix

/// The socket between the first process of a load generator and one that it forked, at either end.
final class WorkerChannel {
    private let socket: Descriptor
    private var frames = WorkerFrames()
    private var buffer = [UInt8](repeating: 0, count: 65536)

    init(_ socket: consuming Descriptor) { self.socket = socket }

    /// The descriptor's number, borrowed.
    var number: Int32 { socket.number }

    /// Sends `frame`, and waits where it must. A failure is left to the next `receive`.
    func send(_ frame: [UInt8]) {
        var rest = frame[...]
        while !rest.isEmpty {
            guard let sent = try? socket.send(rest) else { return }
            if case .bytes(let count) = sent {
                rest = rest.dropFirst(count)
            } else {
                var room = [PollEntry(socket.number, reading: false, writing: true)]
                _ = try? poll(&room, until: nil)
            }
        }
    }

    /// Reads the records that have come. Returns false at the end of the stream, behind the last of them.
    func receive(_ body: (LoadRecordReader) -> Void) -> Bool {
        var isOpen = true
        reading: while true {
            switch try? socket.receive(into: &buffer) {
            case .bytes(let count): frames.add(buffer[..<count])
            case .wouldBlock: break reading
            case .end, nil:
                isOpen = false
                break reading
            }
        }
        while let record = frames.next() { body(record) }
        return isOpen
    }
}
