import Glibc
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

    /// The sockets of which one end has `port`. Others may have left a hundred thousand in TIME_WAIT, so only lines in
    /// which the port stands are read.
    static func entries(with port: UInt16) -> [Entry] {
        guard let file = fopen("/proc/net/tcp", "re") else { return [] }
        defer { fclose(file) }
        let digits = String(port, radix: 16, uppercase: true)
        let end = ":" + String(repeating: "0", count: 4 - digits.count) + digits + " "
        var entries: [Entry] = []
        var line = [CChar](repeating: 0, count: 512)
        while fgets(&line, 512, file) != nil {
            guard strstr(line, end) != nil, let entry = Entry(line) else { continue }
            if entry.localPort == port || entry.remotePort == port { entries.append(entry) }
        }
        return entries
    }

    /// The bytes on their way from the socket on loopback that has `port`: at its end and at the other.
    static func queued(from port: UInt16) -> Int {
        entries(with: port).reduce(0) { $0 + ($1.localPort == port ? $1.unsent : $1.unread) }
    }

    /// The same of one connection.
    static func queued(from port: UInt16, to other: UInt16) -> Int {
        entries(with: port).reduce(0) { sum, entry in
            if entry.localPort == port, entry.remotePort == other { return sum + entry.unsent }
            if entry.localPort == other, entry.remotePort == port { return sum + entry.unread }
            return sum
        }
    }

    /// The bytes that came to the socket that has `port` and were not read.
    static func unread(at port: UInt16) -> Int {
        entries(with: port).reduce(0) { $0 + ($1.localPort == port ? $1.unread : $1.unsent) }
    }
}

extension TCPTable.Entry {
    fileprivate init?(_ line: [CChar]) {
        let text = line.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        let fields = text.split(separator: " ")
        guard fields.count > 4 else { return nil }
        func hex(_ text: Substring, _ part: Int) -> Int { Int(text.split(separator: ":")[part], radix: 16) ?? 0 }
        localPort = UInt16(hex(fields[1], 1))
        remotePort = UInt16(hex(fields[2], 1))
        state = UInt8(fields[3], radix: 16) ?? 0
        unsent = hex(fields[4], 0)
        unread = hex(fields[4], 1)
    }
}
