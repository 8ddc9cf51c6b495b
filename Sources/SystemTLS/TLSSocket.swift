import Posix

/// A stream socket with TLS over it. Nothing ever blocks.
package final class TLSSocket {
    private let descriptor: Descriptor
    private let engine: TLSEngine
    /// Records that the kernel has not taken, from `head` on. It is short: the program's bytes count as written then.
    private var records: [UInt8] = []
    private var head = 0
    private var hasClosed = false

    /// As many of the program's bytes become records before these are sent. More would lie between a heartbeat and the
    /// kernel where that has no room.
    private static let batch = 3 * TLSContext.longestRecord

    package init(_ descriptor: consuming Descriptor, _ engine: TLSEngine) {
        self.descriptor = descriptor
        self.engine = engine
    }

    /// The descriptor's number, borrowed.
    package var number: Int32 { descriptor.number }
    /// Whether records wait for room in the kernel.
    package var hasUnsent: Bool { head < records.count }
    /// Whether the handshake is over.
    package var isEstablished: Bool { engine.isEstablished }
    /// How many bytes of the network are sent and not acknowledged.
    package var unacknowledged: Int { descriptor.unacknowledged + (records.count - head) }
    package var localAddress: SocketAddress { descriptor.localAddress }

    /// Throws the error that the attempt to connect has ended with, if it failed.
    package func checkConnected() throws(SystemError) { try descriptor.checkConnected() }
    package func resetWhenClosed() { descriptor.resetWhenClosed() }

    /// Reads into `buffer`, of at least 40,000 bytes: all that has arrived is taken out of OpenSSL then.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(TLSSocketError) -> TLSTransfer {
        // Whole records are at most 16,640 bytes, and less than one is left from before.
        let received: Transfer
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(16384))
        do { received = try descriptor.receive(into: part) } catch { throw .system(error) }
        if case .bytes(let count) = received { engine.receive(UnsafeRawBufferPointer(rebasing: part.prefix(count))) }
        var filled = 0
        do throws(TLSError) {
            reading: while filled < buffer.count {
                switch try engine.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])) {
                case .bytes(let count): filled += count
                case .needsMore: break reading
                case .end:
                    if filled == 0 { return .end }
                    break reading
                }
            }
        } catch {
            // The other side learns why, if it still listens. What came before the failure is read first.
            _ = try? flush()
            guard filled > 0 else { throw .tls(error) }
        }
        // A failure to send shows at the next read or write.
        _ = try? flush()
        if filled > 0 { return .bytes(filled) }
        return received == .end ? .end : .needsBytes
    }

    /// Writes as many of `bytes` as the kernel has room for, and a few records more.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(TLSSocketError) -> TLSTransfer {
        var written = 0
        while try flush(), written < bytes.count {
            let part = bytes[written...].prefix(TLSSocket.batch)
            let isEstablished: Bool
            do throws(TLSError) {
                isEstablished = try engine.write(UnsafeRawBufferPointer(rebasing: part))
            } catch {
                _ = try? flush()
                throw .tls(error)
            }
            guard isEstablished else { return try flush() ? .needsBytes : .needsRoom }
            written += part.count
        }
        return written > 0 ? .bytes(written) : .needsRoom
    }

    /// Reads into memory of the caller, as above.
    package func read(into buffer: inout [UInt8]) throws(TLSSocketError) -> TLSTransfer {
        try buffer.withUnsafeMutableBytes { memory in
            Result { () throws(TLSSocketError) in try read(into: memory) }
        }.get()
    }

    /// Writes memory of the caller, as above.
    package func write(_ bytes: ArraySlice<UInt8>) throws(TLSSocketError) -> TLSTransfer {
        try bytes.withUnsafeBytes { memory in
            Result { () throws(TLSSocketError) in try write(memory) }
        }.get()
    }

    /// Sends records that wait. Returns whether none is left.
    @discardableResult
    package func flush() throws(TLSSocketError) -> Bool {
        while true {
            while head < records.count {
                do throws(SystemError) {
                    guard case .bytes(let count) = try descriptor.send(records[head...]) else { return false }
                    head += count
                } catch {
                    throw .system(error)
                }
            }
            records.removeAll(keepingCapacity: true)
            head = 0
            if records.capacity == 0 { records.reserveCapacity(8192) }
            let count = withUnsafeTemporaryAllocation(byteCount: 8192, alignment: 1) { buffer in
                let count = engine.takeOutgoing(buffer)
                records.append(contentsOf: buffer.prefix(count))
                return count
            }
            if count == 0 { return true }
        }
    }

    /// Ends this side's stream: close_notify, and the socket's end behind it (SHUT_WR in shutdown(2)). Returns false where
    /// the kernel has no room for that yet.
    package func shutdownWriting() -> Bool {
        if !hasClosed {
            hasClosed = true
            engine.close()
        }
        // Where it cannot be sent, the connection is over anyway.
        guard (try? flush()) ?? true else { return false }
        descriptor.shutdownWriting()
        return true
    }
}

/// Why no more bytes can be moved.
package enum TLSSocketError: Error {
    case system(SystemError)
    case tls(TLSError)
}

/// The result of a read or write.
package enum TLSTransfer: Equatable {
    /// This many bytes of the program, at least one.
    case bytes(Int)
    /// Nothing goes on before the socket is readable, or has room.
    case needsBytes, needsRoom
    case end
}
