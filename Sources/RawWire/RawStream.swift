import Glibc

/// A layer between a peer's bytes and its socket, such as TLS. It borrows the socket, and never blocks.
package protocol RawStream: AnyObject {
    /// Reads into `buffer` as recv(2) does: 0 at the end of the stream, -1 and errno where it fails, EAGAIN where nothing
    /// is there. It leaves nothing unread that has arrived.
    func receive(into buffer: UnsafeMutableRawBufferPointer) -> Int
    /// Sends as send(2) does.
    func send(_ bytes: UnsafeRawBufferPointer) -> Int
    /// Ends this side's stream.
    func shutdownWriting()
}

extension RawPeer {
    func receive(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        stream?.receive(into: buffer) ?? recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
    }

    func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        stream?.send(bytes)
            ?? Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
    }
}
