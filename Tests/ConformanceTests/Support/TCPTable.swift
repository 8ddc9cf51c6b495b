import RawWire

/// What the kernel says of TCP sockets over IPv4 (/proc/net/tcp in proc(5)).
enum TCPTable {
    struct Entry {
        let localPort: UInt16
        let remotePort: UInt16
        /// The state by its number: 1 is ESTABLISHED, 6 is TIME_WAIT.
        let state: UInt8
        /// Bytes with the kernel that the peer has not acknowledged, and bytes that nobody has read.
        let unsent: Int
        let unread: Int
    }

    static var entries: [Entry] {
        (ProcessFiles.text("/proc/net/tcp") ?? "").split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 4 else { return nil }
            func hex(_ text: Substring, _ part: Int) -> Int { Int(text.split(separator: ":")[part], radix: 16) ?? 0 }
            return Entry(
                localPort: UInt16(hex(fields[1], 1)), remotePort: UInt16(hex(fields[2], 1)),
                state: UInt8(fields[3], radix: 16) ?? 0, unsent: hex(fields[4], 0), unread: hex(fields[4], 1))
        }
    }

    /// The bytes on their way from the socket on loopback that has `port`: at its end and at the other.
    static func queued(from port: UInt16) -> Int {
        entries.reduce(0) { sum, entry in
            sum + (entry.localPort == port ? entry.unsent : entry.remotePort == port ? entry.unread : 0)
        }
    }

    /// The bytes that came to the socket that has `port` and were not read.
    static func unread(at port: UInt16) -> Int {
        entries.reduce(0) { sum, entry in
            sum + (entry.localPort == port ? entry.unread : entry.remotePort == port ? entry.unsent : 0)
        }
    }
}
