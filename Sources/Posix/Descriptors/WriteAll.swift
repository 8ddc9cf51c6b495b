import Glibc

/// Writes all of `bytes` to the descriptor `number`, and waits where it must (write(2), poll(2)).
func writeAll(_ bytes: [UInt8], to number: Int32) throws(SystemError) {
    var left = bytes[...]
    while !left.isEmpty {
        let count = left.withUnsafeBytes { bytes in
            transferring(.write, bytes.count) { Glibc.write(number, bytes.baseAddress, $0) }
        }
        if count >= 0 {
            left = left.dropFirst(count)
        } else if errno == EAGAIN {
            waitUntilReady(number, POLLOUT)
        } else {
            throw SystemError("write")
        }
    }
}

/// Waits until the descriptor `number`, which does not block, may be read or written (poll(2)).
func waitUntilReady(_ number: Int32, _ events: Int32) {
    var entry = pollfd(fd: number, events: Int16(events), revents: 0)
    _ = Glibc.poll(&entry, 1, -1)
}
